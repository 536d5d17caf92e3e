//! The curves, their derivatives by the parameters, and where a fit starts.

use clap::ValueEnum;

use crate::data::Point;

/// A curve y = f(t; parameters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Curve {
    /// a + b t
    Line,
    /// a exp(−b t) + c
    Exponential,
    /// a exp(−½((t − b)/c)²) + d
    Gaussian,
    /// a / (1 + exp(−b (t − c)))
    Logistic,
    /// a tᵇ, for t > 0
    Power,
    /// a exp(−b t) + c exp(−d t)
    SumOfExponentials,
}

impl Curve {
    /// The formula.
    pub fn formula(self) -> &'static str {
        match self {
            Curve::Line => "a + b t",
            Curve::Exponential => "a exp(-b t) + c",
            Curve::Gaussian => "a exp(-((t - b)/c)^2/2) + d",
            Curve::Logistic => "a / (1 + exp(-b (t - c)))",
            Curve::Power => "a t^b",
            Curve::SumOfExponentials => "a exp(-b t) + c exp(-d t)",
        }
    }

    /// How many parameters it has.
    pub fn parameters(self) -> usize {
        match self {
            Curve::Line | Curve::Power => 2,
            Curve::Exponential | Curve::Logistic => 3,
            Curve::Gaussian | Curve::SumOfExponentials => 4,
        }
    }

    /// f(t; p), and ∂f/∂pⱼ to `g`.
    pub fn evaluate(self, p: &[f64], t: f64, g: &mut [f64]) -> f64 {
        match self {
            Curve::Line => {
                g.copy_from_slice(&[1.0, t]);
                p[0] + p[1] * t
            }
            Curve::Exponential => {
                let decay = (-p[1] * t).exp();
                g.copy_from_slice(&[decay, -p[0] * t * decay, 1.0]);
                p[0] * decay + p[2]
            }
            Curve::Gaussian => {
                let z = (t - p[1]) / p[2];
                let bell = (-0.5 * z * z).exp();
                let slope = p[0] * bell * z / p[2];
                g.copy_from_slice(&[bell, slope, slope * z, 1.0]);
                p[0] * bell + p[3]
            }
            Curve::Logistic => {
                let share = 1.0 / (1.0 + (-p[1] * (t - p[2])).exp());
                let rest = 1.0 / (1.0 + (p[1] * (t - p[2])).exp());
                let slope = p[0] * share * rest;
                g.copy_from_slice(&[share, slope * (t - p[2]), -slope * p[1]]);
                p[0] * share
            }
            Curve::Power => {
                let power = t.powf(p[1]);
                g.copy_from_slice(&[power, p[0] * power * t.ln()]);
                p[0] * power
            }
            Curve::SumOfExponentials => {
                let (first, second) = ((-p[1] * t).exp(), (-p[3] * t).exp());
                g.copy_from_slice(&[first, -p[0] * t * first, second, -p[2] * t * second]);
                p[0] * first + p[2] * second
            }
        }
    }

    /// The first point at which the curve is not defined, whatever its parameters.
    pub fn undefined_at(self, points: &[Point]) -> Option<&Point> {
        points.iter().find(|point| self == Curve::Power && point.t <= 0.0)
    }

    /// Where a fit starts: rough values read off the points.
    pub fn start(self, points: &[Point]) -> Vec<f64> {
        let mut sorted = points.to_vec();
        sorted.sort_by(|a, b| a.t.total_cmp(&b.t));
        let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
        let range = if last.t > first.t { last.t - first.t } else { 1.0 };
        let mut heights: Vec<f64> = points.iter().map(|point| point.y).collect();
        heights.sort_by(f64::total_cmp);
        let median = heights[heights.len() / 2];
        match self {
            Curve::Line => vec![median, 0.0],
            Curve::Exponential => {
                // Decays from the first to the last value over the range, or grows towards the last one.
                let middle = sorted[sorted.len() / 2].y;
                let grows = (middle - first.y).abs() < (last.y - middle).abs();
                let (rate, level) = if grows { (-3.0 / range, first.y) } else { (3.0 / range, last.y) };
                let (at, height) = if grows { (last.t, last.y) } else { (first.t, first.y) };
                vec![(height - level) * (rate * at).exp(), rate, level]
            }
            Curve::Gaussian => {
                let distance = |point: &Point| (point.y - median).abs();
                let top = sorted.iter().max_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(&first);
                vec![top.y - median, top.t, range / 8.0, median]
            }
            Curve::Logistic => {
                let (low, high) = (heights[0], heights[heights.len() - 1]);
                let plateau = if high.abs() >= low.abs() { high } else { low };
                let above = |point: &&Point| point.y / plateau >= 0.5;
                let rises = (last.y - first.y) * plateau >= 0.0;
                let centre = sorted.iter().find(|point| above(point) == rises).map_or(first.t + 0.5 * range, |p| p.t);
                vec![plateau, if rises { 4.0 / range } else { -4.0 / range }, centre]
            }
            Curve::Power => {
                // log y = log a + b log t where y has the sign of its median.
                let sign = if median < 0.0 { -1.0 } else { 1.0 };
                let logs: Vec<(f64, f64)> =
                    points.iter().filter(|p| sign * p.y > 0.0).map(|p| (p.t.ln(), (sign * p.y).ln())).collect();
                let count = logs.len().max(1) as f64;
                let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
                let (x, y) = (mean(|p| p.0), mean(|p| p.1));
                let spread: f64 = logs.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
                let together: f64 = logs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
                let exponent = if spread > 0.0 { together / spread } else { 1.0 };
                vec![sign * (y - exponent * x).exp(), exponent]
            }
            Curve::SumOfExponentials => {
                let (fast, slow) = (6.0 / range, 1.0 / range);
                let half = 0.5 * first.y;
                vec![half * (fast * first.t).exp(), fast, half * (slow * first.t).exp(), slow]
            }
        }
    }
}
