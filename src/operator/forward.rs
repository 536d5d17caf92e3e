//! What a wrapper hands on: each method's signature is written down here once, and named where it is forwarded.

/// Methods that ask what is wrapped, and return what it says: `forward!(self.inner; dim, apply)` stands for
///
/// ```ignore
/// fn dim(&self) -> usize {
///     self.inner.dim()
/// }
/// fn apply(&self, v: &[T], out: &mut [T]) {
///     self.inner.apply(v, out)
/// }
/// ```
///
/// and `forward!(*; …)` asks what a pointer points to. `abilities` are those of operators and maps that most wrappers leave
/// as they are. Methods of other traits come with their signatures, `forward!(*; fn samples() -> usize, …)`.
///
/// `forward!(Model::; fn dim() -> usize, …)` calls the methods of the same names of another trait of `self`, and
/// `forward!(fields; dim, errors)` answers from fields of these names: `dim()` is `self.dim`, and errors of callbacks come from
/// the slot `self.errors`.
macro_rules! forward {
    (self.$inner:tt; $($method:ident),+) => { $(forward!(@ $method (this, this.$inner));)+ };
    (*; $($method:ident),+) => { $(forward!(@ $method (this, **this));)+ };
    (self.$inner:tt; $(fn $name:ident $arguments:tt $(-> $out:ty)?),+ $(,)?) => {
        $(forward!(= (this, this.$inner) $name $arguments $(-> $out)?);)+
    };
    (*; $(fn $name:ident $arguments:tt $(-> $out:ty)?),+ $(,)?) => {
        $(forward!(= (this, **this) $name $arguments $(-> $out)?);)+
    };
    ($trait:ident::; $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?),+ $(,)?) => {$(
        fn $name(&self, $($argument: $type),*) $(-> $out)? {
            $trait::$name(self, $($argument),*)
        }
    )+};
    (fields; $($field:ident),+) => { $(forward!(field $field);)+ };
    (field errors) => {
        fn take_error(&self) -> Option<$crate::base::CallbackError> {
            self.errors.take()
        }
    };
    (field $name:ident) => {
        fn $name(&self) -> usize {
            self.$name
        }
    };
    (= ($this:ident, $inner:expr) $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?) => {
        fn $name(&self, $($argument: $type),*) $(-> $out)? {
            let $this = self;
            ($inner).$name($($argument),*)
        }
    };

    (@ abilities $f:tt) => {
        forward!(@ forming_cost $f);
        forward!(@ accuracy $f);
        forward!(@ evaluations $f);
        forward!(@ evaluations_ahead $f);
        forward!(@ take_error $f);
    };
    (@ dim $f:tt) => { forward!(= $f dim() -> usize); };
    (@ take_error $f:tt) => { forward!(= $f take_error() -> Option<$crate::base::CallbackError>); };

    // Of operators and maps.
    (@ apply $f:tt) => { forward!(= $f apply(v: &[T], out: &mut [T])); };
    (@ apply_block $f:tt) => { forward!(= $f apply_block(v: &[T], out: &mut [T])); };
    (@ form ($this:ident, $inner:expr)) => {
        fn form(&self, matrix: &mut [T])
        where
            T: $crate::base::Scalar,
        {
            let $this = self;
            ($inner).form(matrix);
        }
    };
    (@ forming_cost $f:tt) => { forward!(= $f forming_cost() -> usize); };
    (@ preconditioner $f:tt) => {
        forward!(= $f preconditioner() -> Option<&dyn $crate::operator::Preconditioner<T>>);
    };
    (@ shared $f:tt) => { forward!(= $f shared() -> Option<&(dyn SymmetricOperator<T> + Sync)>); };
    (@ accuracy $f:tt) => { forward!(= $f accuracy() -> Option<f64>); };
    (@ learn_accuracy $f:tt) => { forward!(= $f learn_accuracy(accuracy: f64)); };
    (@ evaluations $f:tt) => { forward!(= $f evaluations() -> usize); };
    (@ evaluations_ahead $f:tt) => { forward!(= $f evaluations_ahead() -> usize); };
    (@ rows $f:tt) => { forward!(= $f rows() -> usize); };
    (@ columns $f:tt) => { forward!(= $f columns() -> usize); };
    (@ apply_transpose $f:tt) => { forward!(= $f apply_transpose(u: &[T], out: &mut [T])); };
    (@ column_norms $f:tt) => { forward!(= $f column_norms(out: &mut [T]) -> bool); };
    (@ blocks $f:tt) => { forward!(= $f blocks() -> Option<$crate::operator::BlockJacobian<'_, T>>); };
    (@ count_passes $f:tt) => { forward!(= $f count_passes(passes: usize)); };

    // Of objectives, at any point, and of expansions.
    (@ value_at $f:tt) => { forward!(= $f value(x: &[T]) -> f64); };
    (@ value $f:tt) => { forward!(= $f value() -> f64); };
    (@ gradient $f:tt) => { forward!(= $f gradient(out: &mut [T])); };
    (@ value_and_divergence $f:tt) => { forward!(= $f value_and_divergence(y: &[T]) -> Option<(f64, f64)>); };
    (@ structural_damping $f:tt) => {
        forward!(= $f structural_damping() -> Option<&dyn $crate::operator::StructuralDamping<T>>);
    };

    // Of models.
    (@ output_dim $f:tt) => { forward!(= $f output_dim() -> usize); };
    (@ outputs $f:tt) => { forward!(= $f outputs() -> &[T]); };
    (@ evaluate $f:tt) => { forward!(= $f evaluate(x: &[T], out: &mut [T])); };
    (@ in_blocks_of $f:tt) => { forward!(= $f in_blocks_of(rows: usize) -> bool); };
    (@ second_order $f:tt) => { forward!(= $f second_order() -> bool); };
    (@ hidden_states $f:tt) => { forward!(= $f hidden_states() -> bool); };
    (@ layers $f:tt) => { forward!(= $f layers() -> Vec<$crate::operator::LayerShape>); };
    (@ samples $f:tt) => { forward!(= $f samples() -> usize); };
    (@ outputs_per_sample $f:tt) => { forward!(= $f outputs_per_sample() -> usize); };
}
pub(crate) use forward;
