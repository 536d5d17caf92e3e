//! What a metric is, in two pictures: Pierrot, Perrin-Gilbert & Sigaud, "First-order and second-order variants of the
//! gradient descent in a unified framework", figures 1 and 2.
//!
//! 1. One gradient and two steps, each to where the linear model is least on the ball of its metric, δᵀMδ = ε²: I, and one
//!    that is long where the other is short.
//! 2. The same shift of a mean, under two variances: the distance of the parameters is the same, the divergence of the
//!    distributions, and with it the length of the shift in the Fisher metric, is not.

use newton_krylov::exponential_family::{ExponentialFamily, Gaussian};
use newton_krylov::{
    Result, operator,
    steps::{StepOptions, Steps, Subproblem},
};

use crate::drawing::{GAP, SIDE, TITLE, ball, style};
use crate::landscapes::{Matrix, product};
use crate::scene::{Point, Rgb, Scene, Style};

const GRADIENT: [f64; 2] = [-1.0, -0.6];
/// ε of both balls.
const SIZE: f64 = 1.0;
const METRICS: [(&str, Matrix, Rgb); 2] =
    [("M = I", [1.0, 0.0, 1.0], [0x1f, 0x77, 0xb4]), ("M = (3 −1.5; −1.5 1.2)", [3.0, -1.5, 1.2], [0xd6, 0x27, 0x28])];
/// By how much the mean is shifted, and the standard deviations.
const SHIFT: f64 = 1.0;
const DEVIATIONS: [f64; 2] = [1.0, 0.3];

/// A part of the plane, x and y from … to …, in a square of pixels.
struct Panel {
    corner: Point,
    x: [f64; 2],
    y: [f64; 2],
}

impl Panel {
    fn pixels(&self, [x, y]: [f64; 2]) -> Point {
        let part = |v: f64, [low, high]: [f64; 2]| SIDE * (v - low) / (high - low);
        [self.corner[0] + part(x, self.x), self.corner[1] + SIDE - part(y, self.y)]
    }

    fn line(&self, scene: &mut Scene, points: &[[f64; 2]], style: impl Fn() -> Style) {
        let points: Vec<Point> = points.iter().map(|&p| self.pixels(p)).collect();
        scene.clipped(&points, [self.corner, self.corner.map(|c| c + SIDE)], style);
    }

    /// From `from`, with a head at `to`.
    fn arrow(&self, scene: &mut Scene, from: [f64; 2], to: [f64; 2], color: Rgb) {
        let (a, b) = (self.pixels(from), self.pixels(to));
        let (length, back) = ((b[0] - a[0]).hypot(b[1] - a[1]), 9.0);
        let along = [back * (b[0] - a[0]) / length, back * (b[1] - a[1]) / length];
        let side = |sign: f64| [b[0] - along[0] - 0.45 * sign * along[1], b[1] - along[1] + 0.45 * sign * along[0]];
        scene.line(vec![a, b], style(color, 2.0, 1.0));
        scene.line(vec![side(1.0), b, side(-1.0)], style(color, 2.0, 1.0));
    }

    /// Frame, title and numbers along both axes.
    fn frame(&self, scene: &mut Scene, title: &str, steps: [f64; 2]) {
        let ([left, top], [right, bottom]) = (self.corner, self.corner.map(|c| c + SIDE));
        let outline = vec![[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
        scene.line(outline, style([0x60; 3], 1.0, 1.0));
        scene.words([left, top - 8.0], 14.0, title);
        for (axis, range) in [self.x, self.y].into_iter().enumerate() {
            let step = steps[axis];
            for k in (range[0] / step).ceil() as i32..=(range[1] / step).floor() as i32 {
                let value = step * f64::from(k);
                let at = self.pixels([value, value]);
                let (tick, label) = match axis {
                    0 => (vec![[at[0], bottom], [at[0], bottom - 5.0]], [at[0] - 7.0, bottom + 13.0]),
                    _ => (vec![[left, at[1]], [left + 5.0, at[1]]], [left - 27.0, at[1] + 4.0]),
                };
                scene.line(tick, style([0x60; 3], 1.0, 1.0));
                scene.words(label, 11.0, &format!("{value:.1}"));
            }
        }
    }
}

/// Three panels in a row.
pub fn draw() -> Result<Scene> {
    let (margin, width) = (34.0, SIDE + GAP + 34.0);
    let mut scene = Scene::new(3.0 * width + GAP, TITLE + SIDE + 30.0);
    let corner = |i: usize| [margin + i as f64 * width, TITLE];
    balls(&mut scene, corner(0))?;
    for (i, deviation) in DEVIATIONS.into_iter().enumerate() {
        shift(&mut scene, corner(i + 1), deviation)?;
    }
    Ok(scene)
}

/// The first figure.
fn balls(scene: &mut Scene, corner: Point) -> Result<()> {
    let panel = Panel { corner, x: [-1.5, 2.5], y: [-1.5, 2.5] };
    let black = [0; 3];
    for (i, (name, metric, color)) in METRICS.into_iter().enumerate() {
        let m = operator(2, move |v: &[f64], out: &mut [f64]| product(metric, v, out));
        let step = Steps::new(&m, &GRADIENT, StepOptions::default())?.solve(Subproblem::MetricBall(SIZE))?.step;
        let to = [step[0], step[1]];
        if let Some(points) = ball([0.0; 2], metric, SIZE) {
            panel.line(scene, &points, || style(color, 1.8, 1.0));
        }
        // Where the linear model has the value that it has at the step: a tangent of the ball.
        let tangent = [-1.0, 1.0].map(|t| [to[0] - t * GRADIENT[1], to[1] + t * GRADIENT[0]]);
        panel.line(scene, &tangent, || Style { dashed: true, ..style(color, 1.0, 1.0) });
        panel.arrow(scene, [0.0; 2], to, color);
        let at = panel.pixels([-1.35, -1.2 - 0.18 * i as f64]);
        scene.line(vec![[at[0], at[1] - 4.0], [at[0] + 26.0, at[1] - 4.0]], style(color, 2.5, 1.0));
        scene.words([at[0] + 34.0, at[1]], 13.0, name);
    }
    panel.arrow(scene, [0.0; 2], GRADIENT, black);
    scene.words(panel.pixels([-1.1, -0.5]), 13.0, "g");
    scene.dot(panel.pixels([0.0; 2]), 3.0, black);
    panel.frame(scene, "argmin gᵀδ, δᵀMδ ≤ 1: one gradient, two metrics", [0.5, 0.5]);
    Ok(())
}

/// One half of the second figure.
fn shift(scene: &mut Scene, corner: Point, deviation: f64) -> Result<()> {
    let panel = Panel { corner, x: [-3.0, 4.0], y: [0.0, 1.4] };
    let density = |mean: f64, x: f64| {
        (-0.5 * ((x - mean) / deviation).powi(2)).exp() / (deviation * std::f64::consts::TAU.sqrt())
    };
    let family = Gaussian::new(1)?;
    let at = |mean: f64| family.natural(&[mean], &[deviation * deviation]);
    let divergence = family.divergence(&at(0.0)?, &at(SHIFT)?)?;
    for (mean, (_, _, color)) in [0.0, SHIFT].into_iter().zip(METRICS) {
        let x = (0..=400).map(|i| -3.0 + 7.0 * f64::from(i) / 400.0);
        let points: Vec<[f64; 2]> = x.map(|x| [x, density(mean, x)]).collect();
        panel.line(scene, &points, || style(color, 1.8, 1.0));
    }
    let height = 0.5 * density(0.0, 0.0);
    panel.arrow(scene, [0.0, height], [SHIFT, height], [0; 3]);
    let title = format!("σ = {deviation}: a shift of the mean by {SHIFT} is KL = {divergence:.2} nats");
    panel.frame(scene, &title, [1.0, 0.2]);
    Ok(())
}
