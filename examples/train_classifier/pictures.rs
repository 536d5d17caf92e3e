//! The learning curve; and what is taken for what, with the clearest mistakes.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Mark;
use crate::learning_curve;
use crate::set::{Set, likeliest};

/// The side of a cell of the table.
const CELL: i32 = 40;
/// Room for labels around the table.
const MARGIN: i32 = 48;
/// Mistakes: columns and rows, and the side of each image.
const COLUMNS: usize = 5;
const ROWS: usize = 4;
const SIDE: f64 = 84.0;

/// Shares of images that are wrong against seconds.
pub fn learning_curve(path: &Path, curve: &[Mark]) -> Result<(), Box<dyn Error>> {
    let line = |accuracy: fn(&Mark) -> f64| {
        curve.iter().map(|mark| (mark.seconds, 100.0 * (1.0 - accuracy(mark)))).collect::<Vec<_>>()
    };
    let lines =
        vec![("learned from".into(), line(|mark| mark.accuracy)), ("test".into(), line(|mark| mark.test_accuracy))];
    learning_curve::draw(path, lines, "images that are wrong, in %")
}

/// A mistake: which image, what it is taken for, and by how much the logit of that exceeds the one of the right class.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mistake {
    image: usize,
    taken_for: usize,
    margin: f32,
}

/// How often each class (row) is taken for each class (column).
fn table(set: &Set, logits: &[f32], classes: usize) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; classes]; classes];
    for (h, &label) in logits.chunks_exact(classes).zip(&set.labels) {
        table[label][likeliest(h)] += 1;
    }
    table
}

/// All mistakes, the clearest first.
fn wrong(set: &Set, logits: &[f32], classes: usize) -> Vec<Mistake> {
    let samples = logits.chunks_exact(classes).zip(&set.labels).enumerate();
    let all = samples.map(|(image, (h, &label))| {
        let taken_for = likeliest(h);
        (label, Mistake { image, taken_for, margin: h[taken_for] - h[label] })
    });
    let mut mistakes: Vec<Mistake> = all.filter(|(label, m)| *label != m.taken_for).map(|(_, m)| m).collect();
    mistakes.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    mistakes
}

/// Draws the table and the mistakes, from the logits of all images of the set.
pub fn mistakes(path: &Path, set: &Set, logits: &[f32], classes: usize) -> Result<(), Box<dyn Error>> {
    let side = CELL * classes as i32;
    let left = MARGIN + side + MARGIN;
    let pitch = SIDE + 28.0;
    let (width, height) =
        (left + (pitch * COLUMNS as f64) as i32, (MARGIN + side).max(MARGIN + (pitch * ROWS as f64) as i32));
    let root = SVGBackend::new(path, (width as u32 + 16, height as u32 + 16)).into_drawing_area();
    root.fill(&WHITE)?;
    let centred =
        |size: i32| ("sans-serif", size).into_font().into_text_style(&root).pos(Pos::new(HPos::Center, VPos::Center));
    let (small, medium) = (centred(14), centred(16));
    root.draw_text("taken for", &medium, (MARGIN + side / 2, 12))?;
    root.draw_text("is", &medium, (12, MARGIN + side / 2))?;
    for (row, counts) in table(set, logits, classes).iter().enumerate() {
        let all: usize = counts.iter().sum();
        let at = |i: usize| MARGIN + CELL * i as i32;
        root.draw_text(&row.to_string(), &medium, (MARGIN - 14, at(row) + CELL / 2))?;
        root.draw_text(&row.to_string(), &medium, (at(row) + CELL / 2, MARGIN - 14))?;
        for (column, &count) in counts.iter().enumerate() {
            let share = if all == 0 { 0.0 } else { count as f64 / all as f64 };
            // Mistakes are rare: the root shows them.
            let fade = (255.0 * (1.0 - share.sqrt())) as u8;
            let colour = if row == column { RGBColor(fade, fade, 255) } else { RGBColor(255, fade, fade) };
            let corners = [(at(column), at(row)), (at(column) + CELL - 1, at(row) + CELL - 1)];
            root.draw(&Rectangle::new(corners, colour.filled()))?;
            if count > 0 {
                let ink = if row == column && share > 0.5 { WHITE } else { BLACK };
                let centre = (at(column) + CELL / 2, at(row) + CELL / 2);
                root.draw_text(&count.to_string(), &small.color(&ink), centre)?;
            }
        }
    }
    let mistakes = wrong(set, logits, classes);
    let heading = format!("{} of {} images are wrong; the clearest mistakes", mistakes.len(), set.labels.len());
    root.draw_text(&heading, &medium, (left + (pitch * COLUMNS as f64) as i32 / 2, 12))?;
    let scale = SIDE / set.images.width.max(set.images.height) as f64;
    for (k, &Mistake { image, taken_for, .. }) in mistakes.iter().take(ROWS * COLUMNS).enumerate() {
        let (x, y) = (left as f64 + pitch * (k % COLUMNS) as f64, 36.0 + pitch * (k / COLUMNS) as f64);
        let to = |x: f64, y: f64| (x.round() as i32, y.round() as i32);
        root.draw(&Rectangle::new([to(x, y), to(x + SIDE, y + SIDE)], BLACK.filled()))?;
        let pixels = &set.images.pixels[image * set.images.size()..][..set.images.size()];
        for (i, &grey) in pixels.iter().enumerate().filter(|(_, grey)| **grey > 0.0) {
            let (column, row) = ((i % set.images.width) as f64, (i / set.images.width) as f64);
            let corners =
                [to(x + scale * column, y + scale * row), to(x + scale * (column + 1.0), y + scale * (row + 1.0))];
            let grey = (255.0 * grey.clamp(0.0, 1.0)).round() as u8;
            root.draw(&Rectangle::new(corners, RGBColor(grey, grey, grey).filled()))?;
        }
        let caption = format!("{}, taken for {taken_for}", set.labels[image]);
        root.draw_text(&caption, &small, to(x + 0.5 * SIDE, y + SIDE + 12.0))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idx::Images;

    #[test]
    fn tables_and_mistakes_say_what_is_taken_for_what() {
        let set =
            Set { images: Images { pixels: vec![0.0, 0.5, 1.0, 0.2], width: 1, height: 1 }, labels: vec![0, 1, 1, 2] };
        let logits = [3.0, 0.0, 0.0, /**/ 2.0, 1.5, 0.0, /**/ 0.0, 1.0, 5.0, /**/ 0.0, 0.0, 1.0];
        assert_eq!(table(&set, &logits, 3), [vec![1, 0, 0], vec![1, 0, 1], vec![0, 0, 1]]);
        let expected =
            [Mistake { image: 2, taken_for: 2, margin: 4.0 }, Mistake { image: 1, taken_for: 0, margin: 0.5 }];
        assert_eq!(wrong(&set, &logits, 3), expected);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mistakes.svg");
        super::mistakes(&path, &set, &logits, 3).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.trim_end().ends_with("</svg>") && text.contains("2 of 4 images are wrong"));
        assert!(text.contains("1, taken for 2"));
    }
}
