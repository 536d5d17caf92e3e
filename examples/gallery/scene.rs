//! Lines, dots and words in a plane of pixels, written as SVG and as PNG. The PNG has no words: plotters would need a font.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use crate::png;

pub type Rgb = [u8; 3];
/// In pixels, from the upper left.
pub type Point = [f64; 2];

pub struct Style {
    pub color: Rgb,
    pub width: f64,
    pub opacity: f64,
    pub dashed: bool,
}

enum Shape {
    Line(Vec<Point>, Style),
    Dot(Point, f64, Rgb),
    Words { at: Point, size: f64, text: String },
}

pub struct Scene {
    width: f64,
    height: f64,
    shapes: Vec<Shape>,
}

impl Scene {
    pub fn new(width: f64, height: f64) -> Scene {
        Scene { width, height, shapes: vec![] }
    }

    pub fn line(&mut self, points: Vec<Point>, style: Style) {
        self.shapes.push(Shape::Line(points, style));
    }

    pub fn dot(&mut self, at: Point, radius: f64, color: Rgb) {
        self.shapes.push(Shape::Dot(at, radius, color));
    }

    /// From the left, `at` on the baseline.
    pub fn words(&mut self, at: Point, size: f64, text: &str) {
        self.shapes.push(Shape::Words { at, size, text: text.into() });
    }

    /// The lines of the picture that are inside a rectangle: what of `points` is between the corners.
    pub fn clipped(&mut self, points: &[Point], [low, high]: [Point; 2], style: impl Fn() -> Style) {
        let mut run: Vec<Point> = vec![];
        for pair in points.windows(2) {
            let Some([from, to]) = clip(pair[0], pair[1], low, high) else { continue };
            if run.last() != Some(&from) {
                self.finish(std::mem::take(&mut run), &style);
                run.push(from);
            }
            run.push(to);
        }
        self.finish(run, &style);
    }

    fn finish(&mut self, run: Vec<Point>, style: impl Fn() -> Style) {
        if run.len() > 1 {
            self.line(run, style());
        }
    }

    pub fn svg(&self) -> String {
        let (width, height) = (self.width, self.height);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let hex = |[r, g, b]: Rgb| format!("#{r:02x}{g:02x}{b:02x}");
        for shape in &self.shapes {
            let written = match shape {
                Shape::Line(points, style) => {
                    let points: Vec<_> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
                    let dashes = if style.dashed { " stroke-dasharray=\"4 3\"" } else { "" };
                    writeln!(
                        text,
                        "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-opacity=\"{}\"{dashes} \
                         stroke-linejoin=\"round\" points=\"{}\"/>",
                        hex(style.color),
                        style.width,
                        style.opacity,
                        points.join(" ")
                    )
                }
                Shape::Dot([x, y], radius, color) => {
                    writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{}\"/>", hex(*color))
                }
                Shape::Words { at: [x, y], size, text: words } => writeln!(
                    text,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"#222222\">{}</text>",
                    words.replace('&', "&amp;").replace('<', "&lt;")
                ),
            };
            written.expect("a string takes all that is written");
        }
        text + "</svg>\n"
    }

    /// With two pixels for one of the scene's.
    pub fn png(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let pixels = |[x, y]: Point| ((2.0 * x).round() as i32, (2.0 * y).round() as i32);
        let size = ((2.0 * self.width) as u32, (2.0 * self.height) as u32);
        let mut buffer = vec![0; 3 * (size.0 * size.1) as usize];
        let root = BitMapBackend::with_buffer(&mut buffer, size).into_drawing_area();
        root.fill(&WHITE)?;
        for shape in &self.shapes {
            match shape {
                Shape::Line(points, style) => {
                    let [r, g, b] = style.color;
                    let color = RGBColor(r, g, b).mix(style.opacity);
                    let stroke = color.stroke_width((2.0 * style.width).round().max(1.0) as u32);
                    let mut points: Vec<_> = points.iter().copied().map(pixels).collect();
                    points.dedup();
                    if style.dashed {
                        root.draw(&DashedPathElement::new(points, 8, 6, stroke))?;
                    } else {
                        // One by one: a path's joints would be drawn as spikes where it turns back.
                        for pair in points.windows(2) {
                            root.draw(&PathElement::new(pair, stroke))?;
                        }
                    }
                }
                Shape::Dot(at, radius, [r, g, b]) => {
                    let color = RGBColor(*r, *g, *b).filled();
                    root.draw(&Circle::new(pixels(*at), (2.0 * radius).round() as i32, color))?;
                }
                Shape::Words { .. } => {}
            }
        }
        root.present()?;
        drop(root);
        Ok(png::write(path, size.0 as usize, size.1 as usize, &buffer)?)
    }
}

/// The part of a line between two corners (Liang & Barsky, ACM Trans. Graph. 3 (1984)); none of a line to infinity.
fn clip(from: Point, to: Point, low: Point, high: Point) -> Option<[Point; 2]> {
    let along = [to[0] - from[0], to[1] - from[1]];
    let (mut first, mut last) = (0.0_f64, 1.0_f64);
    for i in 0..2 {
        if !along[i].is_finite() {
            return None;
        } else if along[i] == 0.0 {
            if from[i] < low[i] || from[i] > high[i] {
                return None;
            }
        } else {
            let (a, b) = ((low[i] - from[i]) / along[i], (high[i] - from[i]) / along[i]);
            (first, last) = (first.max(a.min(b)), last.min(a.max(b)));
        }
    }
    let at = |t: f64| if t == 1.0 { to } else { [from[0] + t * along[0], from[1] + t * along[1]] };
    (first < last).then(|| [at(first), at(last)])
}
