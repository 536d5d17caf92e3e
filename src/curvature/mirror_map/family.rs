//! Exponential families are mirror maps: φ = A*, the negative entropy, maps mean to natural parameters, and its Bregman
//! divergence D(μ', μ) is KL(p'‖p) (Banerjee, Merugu, Dhillon & Ghosh, JMLR 6 (2005), section 4).

use super::MirrorMap;
use crate::base::Result;
use crate::curvature::exponential_family::{Coordinates, ExponentialFamily};

impl<F: ExponentialFamily> MirrorMap for F {
    fn dim(&self) -> usize {
        self.parameters()
    }
    fn check_point(&self, mean: &[f64]) -> Result<()> {
        self.check_domain(Coordinates::Mean, mean)
    }
    fn check_dual(&self, natural: &[f64]) -> Result<()> {
        self.check_domain(Coordinates::Natural, natural)
    }
    fn potential_at(&self, mean: &[f64]) -> f64 {
        let mut natural = vec![0.0; mean.len()];
        self.natural_at(mean, &mut natural);
        natural.iter().zip(mean).map(|(n, m)| n * m).sum::<f64>() - self.log_partition_at(&natural)
    }
    fn dual_at(&self, mean: &[f64], natural: &mut [f64]) {
        self.natural_at(mean, natural);
    }
    fn point_at(&self, natural: &[f64], mean: &mut [f64]) {
        self.mean_at(natural, mean);
    }
    fn bregman_at(&self, z: &[f64], x: &[f64]) -> f64 {
        let (mut p, mut q) = (vec![0.0; z.len()], vec![0.0; x.len()]);
        self.natural_at(z, &mut p);
        self.natural_at(x, &mut q);
        self.divergence_at(&p, &q)
    }
}
