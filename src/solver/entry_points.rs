//! The methods that every solver of one kind has, said once.

/// `begin` of a solver that is no generic type: its `run` in a box, compiled in this library for both number types.
macro_rules! compiled_run {
    ($solver:ident: $begin:ident = $run:ident($($argument:ident: $Argument:ty),+) -> $Report:ident) => {
        impl $solver {
            fn $begin<'r, T: Scalar>(
                &'r self,
                $($argument: $Argument,)+
                start: Start<'_, T>,
            ) -> Result<AnyRun<'r, T, $Report<T>>> {
                let solver = self;
                $crate::base::compiled!(<'r, 's, T>(
                    solver: &'r $solver, $($argument: $Argument,)+ start: Start<'s, T>
                ) -> Result<AnyRun<'r, T, $Report<T>>> {
                    solver.$run($($argument,)+ start).map(AnyRun::new)
                })
            }
        }
    };
}

/// `minimize`, `minimize_with`, `start` and `resume` of a solver whose private method `run(&self, objective, start)` makes
/// the run on an [`Objective`](crate::Objective); a generic solver has `begin`, which forgets its parameter, itself.
macro_rules! minimizes_objectives {
    ($solver:ident) => {
        $crate::solver::entry_points::compiled_run!($solver: begin = run(objective: AnyObjective<'r, T>) -> Report);
        minimizes_objectives!(@methods $solver);
    };
    ($solver:ty, $M:ident: $Bound:ident) => {
        minimizes_objectives!(@methods $solver, $M: $Bound);
    };
    (@methods $solver:ty $(, $M:ident: $Bound:ident)?) => {
        impl $(<$M: $Bound>)? $solver {
            /// Minimises `objective` from `x0`.
            ///
            /// # Errors
            /// For zero unknowns, a wrong length, NaN or ∞ in `x0`, an option out of its range, or where value or gradient
            /// at `x0` is not finite. Everything that happens later is a [`Termination`](crate::Termination) in the report.
            pub fn minimize<T: Scalar>(&self, objective: &impl Objective<T>, x0: &[T]) -> Result<Report<T>> {
                self.begin(AnyObjective::new(objective), Start::Point(x0))?.complete()
            }

            /// As [`minimize`](Self::minimize), with an observer that sees every iteration and may stop the run.
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize).
            pub fn minimize_with<T: Scalar>(
                &self,
                objective: &impl Objective<T>,
                x0: &[T],
                observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
            ) -> Result<Report<T>> {
                self.begin(AnyObjective::new(objective), Start::Point(x0))?.complete_with(observer)
            }

            /// Starts a run that goes on one step at a time. Evaluates f(x₀).
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize).
            pub fn start<'r, T: Scalar>(
                &'r self,
                objective: &'r impl Objective<T>,
                x0: &[T],
            ) -> Result<AnyRun<'r, T, Report<T>>> {
                self.begin(AnyObjective::new(objective), Start::Point(x0))
            }

            /// Goes on from where a run with the same options and on the same objective was saved.
            ///
            /// # Errors
            /// For the state of another solver, version of the library, number type or dimension, or an option out of its
            /// range.
            #[cfg(feature = "serde")]
            pub fn resume<'r, T: Scalar>(
                &'r self,
                objective: &'r impl Objective<T>,
                state: &RunState,
            ) -> Result<AnyRun<'r, T, Report<T>>> {
                self.begin(AnyObjective::new(objective), Start::State(state))
            }

            /// As [`minimize`](Self::minimize), and saves the run to `path` after every `every` steps and at the end; if there is
            /// such a file already, the run in it goes on, with the same bits.
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize) and [`resume`](Self::resume), and if the file cannot be read or written.
            #[cfg(feature = "serde")]
            pub fn minimize_saved<T: Scalar>(
                &self,
                objective: &impl Objective<T>,
                x0: &[T],
                path: impl AsRef<std::path::Path>,
                every: usize,
            ) -> std::result::Result<Report<T>, checkpoint::CheckpointError> {
                let found = checkpoint::find(&path)?;
                let start = found.as_ref().map_or(Start::Point(x0), Start::State);
                checkpoint::complete(self.begin(AnyObjective::new(objective), start)?, path, every)
            }
        }
    };
}

/// The same on the batches of a [`SampledObjective`](crate::SampledObjective), from `run_on_batches(&self, objective,
/// batches, start)`.
macro_rules! minimizes_samples {
    ($solver:ident) => {
        $crate::solver::entry_points::compiled_run!(
            $solver: begin_on_batches = run_on_batches(samples: &'r dyn AnySampledObjective<T>, batches: Batches) -> Report
        );
        minimizes_samples!(@methods $solver);
    };
    ($solver:ty, $M:ident: $Bound:ident) => {
        minimizes_samples!(@methods $solver, $M: $Bound);
    };
    (@methods $solver:ty $(, $M:ident: $Bound:ident)?) => {
        impl $(<$M: $Bound>)? $solver {
            /// Minimises a mean over samples from `x0`, on one batch after the other.
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize), and if `batches` are of another number of samples.
            pub fn minimize_sampled<T: Scalar>(
                &self,
                objective: &impl SampledObjective<T>,
                batches: Batches,
                x0: &[T],
            ) -> Result<Report<T>> {
                self.begin_on_batches(objective as &dyn AnySampledObjective<T>, batches, Start::Point(x0))?.complete()
            }

            /// As [`minimize_sampled`](Self::minimize_sampled), with an observer that sees every iteration and may stop the
            /// run.
            ///
            /// # Errors
            /// As [`minimize_sampled`](Self::minimize_sampled).
            pub fn minimize_sampled_with<T: Scalar>(
                &self,
                objective: &impl SampledObjective<T>,
                batches: Batches,
                x0: &[T],
                observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
            ) -> Result<Report<T>> {
                self.begin_on_batches(objective as &dyn AnySampledObjective<T>, batches, Start::Point(x0))?.complete_with(observer)
            }

            /// Starts a run on batches that goes on one step at a time.
            ///
            /// # Errors
            /// As [`minimize_sampled`](Self::minimize_sampled).
            pub fn start_sampled<'r, T: Scalar>(
                &'r self,
                objective: &'r impl SampledObjective<T>,
                batches: Batches,
                x0: &[T],
            ) -> Result<AnyRun<'r, T, Report<T>>> {
                self.begin_on_batches(objective as &dyn AnySampledObjective<T>, batches, Start::Point(x0))
            }

            /// Goes on from where a run on batches of the same objective was saved, with the next batch.
            ///
            /// # Errors
            /// For the state of another solver, version of the library, number type, dimension or number of samples, or an
            /// option out of its range.
            #[cfg(feature = "serde")]
            pub fn resume_sampled<'r, T: Scalar>(
                &'r self,
                objective: &'r impl SampledObjective<T>,
                state: &RunState,
            ) -> Result<AnyRun<'r, T, Report<T>>> {
                // Those of the state take their place.
                let batches = Batches::new(objective.samples(), 1, 0)?;
                self.begin_on_batches(objective as &dyn AnySampledObjective<T>, batches, Start::State(state))
            }
        }
    };
}

/// The same on a [`LeastSquares`](crate::LeastSquares) problem.
macro_rules! minimizes_least_squares {
    ($solver:ident) => {
        $crate::solver::entry_points::compiled_run!($solver: begin = run(fit: $crate::curvature::AnyFit<'r, T>) -> LeastSquaresReport);
        impl $solver {
            /// Minimises ½ Σ ρ(‖r_b‖²) from `x0`.
            ///
            /// # Errors
            /// For no parameters or no residuals, a wrong length, NaN or ∞ in `x0` or in an option, an `x0` outside the
            /// bounds, or where residuals, value or Jacobian at `x0` are not finite. Everything that happens later is a
            /// [`Termination`](crate::Termination) in the report.
            pub fn minimize<T: Scalar, M: Model<T>, L: RobustLoss>(
                &self,
                fit: &LeastSquares<T, M, L>,
                x0: &[T],
            ) -> Result<LeastSquaresReport<T>> {
                self.begin(fit.any(), Start::Point(x0))?.complete()
            }

            /// As [`minimize`](Self::minimize), with an observer that sees every iteration and may stop the run.
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize).
            pub fn minimize_with<T: Scalar, M: Model<T>, L: RobustLoss>(
                &self,
                fit: &LeastSquares<T, M, L>,
                x0: &[T],
                observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
            ) -> Result<LeastSquaresReport<T>> {
                self.begin(fit.any(), Start::Point(x0))?.complete_with(observer)
            }

            /// Starts a run that goes on one step at a time. Evaluates r(x₀).
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize).
            pub fn start<'r, T: Scalar, M: Model<T>, L: RobustLoss>(
                &'r self,
                fit: &'r LeastSquares<T, M, L>,
                x0: &[T],
            ) -> Result<AnyRun<'r, T, LeastSquaresReport<T>>> {
                self.begin(fit.any(), Start::Point(x0))
            }

            /// Goes on from where a run with the same options and on the same problem was saved.
            ///
            /// # Errors
            /// For the state of another solver, version of the library, number type, or number of parameters or residuals.
            #[cfg(feature = "serde")]
            pub fn resume<'r, T: Scalar, M: Model<T>, L: RobustLoss>(
                &'r self,
                fit: &'r LeastSquares<T, M, L>,
                state: &RunState,
            ) -> Result<AnyRun<'r, T, LeastSquaresReport<T>>> {
                self.begin(fit.any(), Start::State(state))
            }

            /// As [`minimize`](Self::minimize), and saves the run to `path` after every `every` steps and at the end; if there is
            /// such a file already, the run in it goes on, with the same bits.
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize) and [`resume`](Self::resume), and if the file cannot be read or written.
            #[cfg(feature = "serde")]
            pub fn minimize_saved<T: Scalar, M: Model<T>, L: RobustLoss>(
                &self,
                fit: &LeastSquares<T, M, L>,
                x0: &[T],
                path: impl AsRef<std::path::Path>,
                every: usize,
            ) -> std::result::Result<LeastSquaresReport<T>, checkpoint::CheckpointError> {
                let found = checkpoint::find(&path)?;
                let start = found.as_ref().map_or(Start::Point(x0), Start::State);
                checkpoint::complete(self.begin(fit.any(), start)?, path, every)
            }
        }
    };
}

/// The solver by its name and these options.
macro_rules! identified_by {
    ($solver:ident $($option:ident)*) => {
        impl Identity for $solver {
            fn identify(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($solver))$(.field(stringify!($option), &self.$option))*.finish()
            }
        }
    };
}

pub(super) use {compiled_run, identified_by, minimizes_least_squares, minimizes_objectives, minimizes_samples};
