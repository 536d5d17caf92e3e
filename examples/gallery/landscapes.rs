//! Functions of two unknowns with their derivatives and metrics, written out.

/// A symmetric 2 × 2 matrix: the entries (1, 1), (1, 2), (2, 2).
pub type Matrix = [f64; 3];

/// Mv.
pub fn product(m: Matrix, v: &[f64], out: &mut [f64]) {
    (out[0], out[1]) = (m[0] * v[0] + m[1] * v[1], m[1] * v[0] + m[2] * v[1]);
}

/// The metric of a statistical model, and how far apart two of its distributions are, in nats.
#[derive(Clone, Copy)]
pub struct Fisher {
    pub metric: fn(f64, f64) -> Matrix,
    /// The Kullback–Leibler divergence of the distribution at the second point from the one at the first.
    pub divergence: fn([f64; 2], [f64; 2]) -> f64,
}

/// A function of two unknowns, NaN where it has no value.
pub struct Landscape {
    pub name: &'static str,
    pub title: &'static str,
    pub value: fn(f64, f64) -> f64,
    pub gradient: fn(f64, f64) -> [f64; 2],
    pub hessian: fn(f64, f64) -> Matrix,
    pub fisher: Option<Fisher>,
    pub start: [f64; 2],
    pub minimum: [f64; 2],
    /// What the picture shows: the middle, and half of the width.
    pub center: [f64; 2],
    pub half: f64,
    /// Level sets are where f − min f is `first` · `factor`ᵏ.
    pub first: f64,
    pub factor: f64,
    /// Where the unit balls of the metrics are drawn, with the radius of each: identity, Hessian, Fisher.
    pub balls: &'static [[f64; 2]],
    pub radii: [f64; 3],
}

impl Landscape {
    /// Whether a point is in the picture.
    pub fn shows(&self, x: &[f64; 2]) -> bool {
        (0..2).all(|i| (x[i] - self.center[i]).abs() <= self.half)
    }
}

/// Additional hours of sleep of ten patients after the second drug: A. R. Cushny & A. R. Peebles, J. Physiol. 32 (1905),
/// the data of Student, "The probable error of a mean" (Biometrika 6 (1908)).
const SLEEP: [f64; 10] = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];

/// Temperature (°F) and whether an O-ring was damaged, for the 23 flights of the space shuttle before the last one of the
/// Challenger: S. R. Dalal, E. B. Fowlkes & B. Hoadley, J. Amer. Statist. Assoc. 84 (1989), table 1.
const FLIGHTS: [(f64, f64); 23] = [
    (66.0, 0.0),
    (70.0, 1.0),
    (69.0, 0.0),
    (68.0, 0.0),
    (67.0, 0.0),
    (72.0, 0.0),
    (73.0, 0.0),
    (70.0, 0.0),
    (57.0, 1.0),
    (63.0, 1.0),
    (70.0, 1.0),
    (78.0, 0.0),
    (67.0, 0.0),
    (53.0, 1.0),
    (67.0, 0.0),
    (75.0, 0.0),
    (70.0, 0.0),
    (81.0, 0.0),
    (76.0, 0.0),
    (79.0, 0.0),
    (75.0, 1.0),
    (76.0, 0.0),
    (58.0, 1.0),
];

/// Mean and variance of the sample.
fn sample() -> (f64, f64) {
    let count = SLEEP.len() as f64;
    let mean = SLEEP.iter().sum::<f64>() / count;
    (mean, SLEEP.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / count)
}

/// Temperature in steps of 10 °F from 70 °F, so that both unknowns are of one size.
fn scaled(temperature: f64) -> f64 {
    0.1 * (temperature - 70.0)
}

/// The sum over the flights of what `of` makes of (t, y, p), divided by their number; p is the probability of damage.
fn flights<const N: usize>(a: f64, b: f64, of: impl Fn(f64, f64, f64) -> [f64; N]) -> [f64; N] {
    let mut sums = [0.0; N];
    for (temperature, y) in FLIGHTS {
        let t = scaled(temperature);
        let p = 1.0 / (1.0 + (-a - b * t).exp());
        sums.iter_mut().zip(of(t, y, p)).for_each(|(sum, term)| *sum += term / FLIGHTS.len() as f64);
    }
    sums
}

/// ln(1 + eᶻ) without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

fn logistic_hessian(a: f64, b: f64) -> Matrix {
    flights(a, b, |t, _, p| [1.0, t, t * t].map(|u| u * p * (1.0 - p)))
}

/// The divergence of N(m', s'²) from N(m, s²).
fn gaussian_divergence([m, s]: [f64; 2], [other_m, other_s]: [f64; 2]) -> f64 {
    let variance = other_s * other_s;
    (other_s / s).ln() + 0.5 * (s * s + (m - other_m).powi(2)) / variance - 0.5
}

/// −ln p of a sample from N(μ, σ²), on the average.
fn gaussian(mu: f64, sigma: f64) -> f64 {
    let (mean, variance) = sample();
    if sigma > 0.0 {
        (sigma * std::f64::consts::TAU.sqrt()).ln() + 0.5 * (variance + (mean - mu).powi(2)) / (sigma * sigma)
    } else {
        f64::NAN
    }
}

fn gaussian_gradient(mu: f64, sigma: f64) -> [f64; 2] {
    if sigma <= 0.0 {
        return [f64::NAN; 2];
    }
    let (mean, variance) = sample();
    let square = variance + (mean - mu).powi(2);
    [(mu - mean) / sigma.powi(2), 1.0 / sigma - square / sigma.powi(3)]
}

fn gaussian_hessian(mu: f64, sigma: f64) -> Matrix {
    let (mean, variance) = sample();
    let square = variance + (mean - mu).powi(2);
    [sigma.powi(-2), 2.0 * (mean - mu) / sigma.powi(3), 3.0 * square / sigma.powi(4) - sigma.powi(-2)]
}

/// With τ = ln σ: the same function in other unknowns.
fn log_gaussian_hessian(mu: f64, tau: f64) -> Matrix {
    let (mean, variance) = sample();
    let precision = (-2.0 * tau).exp();
    [precision, 2.0 * (mean - mu) * precision, 2.0 * (variance + (mean - mu).powi(2)) * precision]
}

pub fn landscapes() -> [Landscape; 6] {
    let (mean, variance) = sample();
    let grid: &[[f64; 2]] = &[[-1.3, -0.9], [0.0, -0.9], [1.3, -0.9]];
    [
        Landscape {
            name: "quadratic",
            title: "5x² + 13y²: condition number 2.6",
            value: |x, y| 5.0 * x * x + 13.0 * y * y,
            gradient: |x, y| [10.0 * x, 26.0 * y],
            hessian: |_, _| [10.0, 0.0, 26.0],
            fisher: None,
            start: [-1.6, 1.2],
            minimum: [0.0, 0.0],
            center: [0.0, 0.0],
            half: 2.0,
            first: 0.5,
            factor: 2.2,
            balls: grid,
            radii: [0.22, 0.9, 0.0],
        },
        Landscape {
            name: "ill-conditioned-quadratic",
            title: "½(x² + 100y²), turned: condition number 100",
            value: |x, y| 0.5 * (0.8 * x + 0.6 * y).powi(2) + 50.0 * (0.8 * y - 0.6 * x).powi(2),
            gradient: |x, y| {
                let (u, v) = (0.8 * x + 0.6 * y, 100.0 * (0.8 * y - 0.6 * x));
                [0.8 * u - 0.6 * v, 0.6 * u + 0.8 * v]
            },
            hessian: |_, _| [0.64 + 36.0, 0.48 - 48.0, 0.36 + 64.0],
            fisher: None,
            start: [-1.6, -0.4],
            minimum: [0.0, 0.0],
            center: [0.0, 0.0],
            half: 2.0,
            first: 0.05,
            factor: 4.0,
            balls: &[[-0.9, 1.2], [0.9, -1.2]],
            radii: [0.22, 0.5, 0.0],
        },
        Landscape {
            name: "rosenbrock",
            title: "Rosenbrock: 100(y − x²)² + (1 − x)²",
            value: |x, y| 100.0 * (y - x * x).powi(2) + (1.0 - x).powi(2),
            gradient: |x, y| [-400.0 * x * (y - x * x) - 2.0 * (1.0 - x), 200.0 * (y - x * x)],
            hessian: |x, y| [1200.0 * x * x - 400.0 * y + 2.0, -400.0 * x, 200.0],
            // −ln p of two residuals with variance 1, up to a constant.
            fisher: Some(Fisher {
                metric: |x, _| [800.0 * x * x + 2.0, -400.0 * x, 200.0],
                divergence: |[x, y], [u, v]| 100.0 * (v - u * u - y + x * x).powi(2) + (x - u).powi(2),
            }),
            start: [-1.2, 1.0],
            minimum: [1.0, 1.0],
            center: [0.0, 0.75],
            half: 1.6,
            first: 0.3,
            factor: 4.5,
            balls: &[[-1.2, -0.2], [0.0, -0.35], [1.2, -0.2], [0.0, 2.0]],
            radii: [0.16, 1.8, 0.8],
        },
        Landscape {
            name: "gaussian-deviation",
            title: "Gaussian likelihood in (μ, σ)",
            value: gaussian,
            gradient: gaussian_gradient,
            hessian: gaussian_hessian,
            fisher: Some(Fisher {
                metric: |_, sigma| [sigma.powi(-2), 0.0, 2.0 * sigma.powi(-2)],
                divergence: gaussian_divergence,
            }),
            start: [-0.5, 1.5],
            minimum: [mean, variance.sqrt()],
            center: [1.6, 2.4],
            half: 2.4,
            first: 0.02,
            factor: 2.2,
            balls: &[[-0.1, 4.2], [3.4, 4.2], [3.5, 1.3], [1.6, 0.7]],
            radii: [0.25, 0.18, 0.12],
        },
        Landscape {
            name: "gaussian-log-deviation",
            title: "The same in (μ, ln σ)",
            value: |mu, tau| gaussian(mu, tau.exp()),
            gradient: |mu, tau| {
                let sigma = tau.exp();
                let [along_mu, along_sigma] = gaussian_gradient(mu, sigma);
                [along_mu, sigma * along_sigma]
            },
            hessian: log_gaussian_hessian,
            fisher: Some(Fisher {
                metric: |_, tau| [(-2.0 * tau).exp(), 0.0, 2.0],
                divergence: |[m, t], [other_m, other_t]| gaussian_divergence([m, t.exp()], [other_m, other_t.exp()]),
            }),
            start: [-0.5, 1.5_f64.ln()],
            minimum: [mean, 0.5 * variance.ln()],
            center: [1.6, 0.6],
            half: 2.4,
            first: 0.02,
            factor: 2.2,
            balls: &[[0.3, 2.1], [2.7, 2.1], [1.2, -1.0], [3.4, -0.7]],
            radii: [0.25, 0.13, 0.13],
        },
        Landscape {
            name: "classifier",
            title: "Logistic regression: O-rings, intercept and slope",
            value: |a, b| flights(a, b, |t, y, _| [softplus(a + b * t) - y * (a + b * t)])[0],
            gradient: |a, b| flights(a, b, |t, y, p| [p - y, (p - y) * t]),
            hessian: logistic_hessian,
            // The logit is the natural parameter: the Fisher matrix is the Hessian.
            fisher: Some(Fisher {
                metric: logistic_hessian,
                divergence: |[a, b], [c, d]| {
                    let terms = flights(a, b, |t, _, p| {
                        [softplus(c + d * t) - softplus(a + b * t) - p * (c + d * t - a - b * t)]
                    });
                    terms[0]
                },
            }),
            start: [1.4, 0.6],
            // The published fit, logit p = 15.0429 − 0.232163 °F, in these unknowns.
            minimum: [15.0429 - 70.0 * 0.232163, -2.32163],
            center: [0.0, -1.0],
            half: 3.4,
            first: 0.005,
            factor: 2.5,
            balls: &[[-2.4, 1.2], [2.4, -1.6], [1.2, -3.5]],
            radii: [0.35, 0.15, 0.15],
        },
    ]
}
