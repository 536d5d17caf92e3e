//! Draws points, the fitted curve and its confidence band: as SVG, or as PNG without words, which would need a font.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::data::Data;
use crate::png;

/// A point of the curve: t, f(t) and half the width of the band, if there is one.
pub type OnCurve = (f64, f64, Option<f64>);

/// The range of `values`, a little wider.
fn range(values: impl Iterator<Item = f64>) -> Result<(f64, f64), Box<dyn Error>> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let margin = (0.05 * (high - low)).max(1e-6 * low.abs().max(high.abs())).max(1e-300);
    let (low, high) = (low - margin, high + margin);
    if (high - low).is_finite() { Ok((low, high)) } else { Err("the range of the data cannot be drawn".into()) }
}

/// Writes `path`, in the format that its name ends with.
pub fn draw(path: &Path, title: &str, data: &Data, curve: &[OnCurve], level: f64) -> Result<(), Box<dyn Error>> {
    const SIZE: (u32, u32) = (900, 600);
    match path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase).as_deref() {
        Some("svg") => draw_on(SVGBackend::new(path, SIZE).into_drawing_area(), Some(title), data, curve, level),
        Some("png") => {
            let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
            let mut pixels = vec![0; 3 * width * height];
            draw_on(BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area(), None, data, curve, level)?;
            Ok(png::write(path, width, height, &pixels)?)
        }
        _ => Err("pictures are .svg or .png".into()),
    }
}

/// Draws, with words if there is a title.
fn draw_on<B: DrawingBackend>(
    root: DrawingArea<B, Shift>,
    title: Option<&str>,
    data: &Data,
    curve: &[OnCurve],
    level: f64,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let (left, right) = range(data.points.iter().map(|point| point.t))?;
    let heights = data.points.iter().map(|point| point.y).chain(curve.iter().map(|on| on.1));
    let (low, high) = range(heights)?;
    root.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&root);
    builder.margin(12);
    if let Some(title) = title {
        builder.caption(title, ("sans-serif", 20)).x_label_area_size(40).y_label_area_size(70);
    }
    let mut chart = builder.build_cartesian_2d(left..right, low..high)?;
    match title {
        Some(_) => chart.configure_mesh().x_desc("t").y_desc("y").light_line_style(WHITE).draw()?,
        None => chart.configure_mesh().x_labels(0).y_labels(0).draw()?,
    }

    // A band wider than the picture ends at its edge.
    let edge = |sign: f64| {
        let bounded = curve.iter().filter_map(move |&(t, f, half)| Some((t, f + sign * half?)));
        bounded.filter(|on| on.1.is_finite()).map(|(t, f)| (t, f.clamp(low, high))).collect::<Vec<_>>()
    };
    let band: Vec<_> = edge(1.0).into_iter().chain(edge(-1.0).into_iter().rev()).collect();
    let color = BLUE.mix(0.18);
    if !band.is_empty() {
        let label = format!("{:.0} % confidence band", 100.0 * level);
        let swatch = move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled());
        chart.draw_series([Polygon::new(band, color)])?.label(label).legend(swatch);
    }
    let line = curve.iter().filter(|on| on.1.is_finite()).map(|&(t, f, _)| (t, f));
    let stroke = BLUE.stroke_width(2);
    chart
        .draw_series(LineSeries::new(line, stroke))?
        .label("fit")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], stroke));
    if data.with_sigma {
        let bars = data.points.iter().map(|p| {
            let ends = [p.y - p.sigma, p.y + p.sigma].map(|y| (p.t, y.clamp(low, high)));
            PathElement::new(ends, BLACK.mix(0.6))
        });
        chart.draw_series(bars)?;
    }
    let points = data.points.iter().map(|point| Circle::new((point.t, point.y), 3, BLACK.filled()));
    chart.draw_series(points)?.label("data").legend(|(x, y)| Circle::new((x + 7, y), 3, BLACK.filled()));
    if title.is_some() {
        chart.configure_series_labels().background_style(WHITE.mix(0.85)).border_style(BLACK).draw()?;
    }
    root.present()?;
    Ok(())
}
