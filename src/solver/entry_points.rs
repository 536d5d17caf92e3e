//! The methods that every solver of one kind has, said once.

/// `minimize`, `minimize_with` and `start` of a solver whose private method `descent(&self, objective, x0)` makes the run
/// on an [`Objective`](crate::Objective).
macro_rules! minimizes_objectives {
    ($solver:ident) => {
        impl $solver {
            /// Minimises `objective` from `x0`.
            ///
            /// # Errors
            /// For zero unknowns, a wrong length, NaN or ∞ in `x0`, an option out of its range, or where value or gradient
            /// at `x0` is not finite. Everything that happens later is a [`Termination`](crate::Termination) in the report.
            pub fn minimize<T: Scalar>(&self, objective: &impl Objective<T>, x0: &[T]) -> Result<Report<T>> {
                self.descent(objective, x0)?.complete(|_| ControlFlow::Continue(()))
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
                self.descent(objective, x0)?.complete(observer)
            }

            /// Starts a run that goes on one step at a time. Evaluates f(x₀).
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize).
            pub fn start<'r, T: Scalar, O: Objective<T>>(
                &'r self,
                objective: &'r O,
                x0: &[T],
            ) -> Result<impl Run<T, Report = Report<T>> + use<'r, T, O>> {
                self.descent(objective, x0)
            }
        }
    };
}

/// The same on a [`LeastSquares`](crate::LeastSquares) problem.
macro_rules! minimizes_least_squares {
    ($solver:ident) => {
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
                self.descent(fit, x0)?.complete(|_| ControlFlow::Continue(()))
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
                self.descent(fit, x0)?.complete(observer)
            }

            /// Starts a run that goes on one step at a time. Evaluates r(x₀).
            ///
            /// # Errors
            /// As [`minimize`](Self::minimize).
            pub fn start<'r, T: Scalar, M: Model<T>, L: RobustLoss>(
                &'r self,
                fit: &'r LeastSquares<T, M, L>,
                x0: &[T],
            ) -> Result<impl Run<T, Report = LeastSquaresReport<T>> + use<'r, T, M, L>> {
                self.descent(fit, x0)
            }
        }
    };
}

pub(super) use {minimizes_least_squares, minimizes_objectives};
