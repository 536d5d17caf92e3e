//! The least-squares solvers, on problems with published answers and on everything that can go wrong.

mod faults;
mod nist_strd;
mod noise;
mod ordinary_fits;
mod pose_graph;
mod problems;
