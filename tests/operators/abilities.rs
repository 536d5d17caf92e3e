//! What an operator, an expansion or a model can do beside products is found again through every wrapper.

use std::cell::Cell;

use newton_krylov::callbacks::*;
use newton_krylov::operators::*;
use newton_krylov::preconditioners::*;
use newton_krylov::ranks::{Communicator, Summed};
use newton_krylov::*;

const D: usize = 20;

/// A diagonal matrix that knows its inverse, and how to write itself down; f(x) = ½xᵀMx with a divergence and an S = I.
struct Able(Vec<f64>, ErrorSlot, Cell<f64>);

impl Able {
    fn new() -> Self {
        Able((1..=D).map(|i| (i * i) as f64).collect(), ErrorSlot::new(), Cell::new(0.0))
    }
}

impl SymmetricOperator<f64> for Able {
    fn dim(&self) -> usize {
        D
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        self.errors().write(out, |out| (0..D).for_each(|i| out[i] = self.0[i] * v[i]));
    }
    fn form(&self, matrix: &mut [f64]) {
        matrix.fill(0.0);
        (0..D).for_each(|i| matrix[i * D + i] = self.0[i]);
    }
    fn forming_cost(&self) -> usize {
        1
    }
    fn preconditioner(&self) -> Option<&dyn Preconditioner<f64>> {
        Some(self)
    }
    fn accuracy(&self) -> Option<f64> {
        Some(self.2.get())
    }
    fn learn_accuracy(&self, accuracy: f64) {
        self.2.set(accuracy);
    }
    fn evaluations_ahead(&self) -> usize {
        7
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.1.take()
    }
}

impl Preconditioner<f64> for Able {
    fn precondition(&self, shift: f64, r: &mut [f64]) {
        (0..D).for_each(|i| r[i] /= self.0[i] + shift);
    }
}

impl Able {
    fn errors(&self) -> &ErrorSlot {
        &self.1
    }
}

impl Expansion<f64> for Able {
    fn value(&self) -> f64 {
        1.0
    }
    fn gradient(&self, out: &mut [f64]) {
        out.copy_from_slice(&self.0);
    }
    fn value_and_divergence(&self, _: &[f64]) -> Option<(f64, f64)> {
        Some((2.0, 3.0))
    }
    fn structural_damping(&self) -> Option<&dyn StructuralDamping<f64>> {
        Some(self)
    }
}

impl StructuralDamping<f64> for Able {
    fn damped_product(&self, damping: f64, v: &[f64], out: &mut [f64]) {
        (0..D).for_each(|i| out[i] = (self.0[i] + damping) * v[i]);
    }
}

/// The objective whose expansions these are.
impl Objective<f64> for Able {
    fn dim(&self) -> usize {
        D
    }
    fn value(&self, _: &[f64]) -> f64 {
        1.0
    }
    fn expand<'a>(&'a self, _: &'a [f64]) -> impl Expansion<f64> + 'a {
        ExpandedAble(self)
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.1.take()
    }
}

/// A reference that is no `&`, so that each wrapper is met with a type of its own.
struct ExpandedAble<'a>(&'a Able);

impl SymmetricOperator<f64> for ExpandedAble<'_> {
    fn dim(&self) -> usize {
        D
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        self.0.apply(v, out);
    }
    fn form(&self, matrix: &mut [f64]) {
        self.0.form(matrix);
    }
    fn forming_cost(&self) -> usize {
        self.0.forming_cost()
    }
    fn preconditioner(&self) -> Option<&dyn Preconditioner<f64>> {
        self.0.preconditioner()
    }
    fn accuracy(&self) -> Option<f64> {
        self.0.accuracy()
    }
    fn learn_accuracy(&self, accuracy: f64) {
        self.0.learn_accuracy(accuracy);
    }
    fn evaluations_ahead(&self) -> usize {
        self.0.evaluations_ahead()
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.0.1.take()
    }
}

impl Expansion<f64> for ExpandedAble<'_> {
    fn value(&self) -> f64 {
        1.0
    }
    fn gradient(&self, out: &mut [f64]) {
        out.copy_from_slice(&self.0.0);
    }
    fn value_and_divergence(&self, y: &[f64]) -> Option<(f64, f64)> {
        self.0.value_and_divergence(y)
    }
    fn structural_damping(&self) -> Option<&dyn StructuralDamping<f64>> {
        self.0.structural_damping()
    }
}

/// The abilities of an operator: its form is cheap and right, its preconditioner is its inverse for any shift, a block
/// is its columns, and an error comes through.
fn examine(name: &str, m: &dyn SymmetricOperator<f64>, errors: &ErrorSlot) {
    let v: Vec<f64> = (0..3 * D).map(|i| (i as f64).sin()).collect();
    let (mut block, mut out, mut matrix) = (vec![0.0; 3 * D], vec![0.0; D], vec![0.0; D * D]);
    m.apply_block(&v, &mut block);
    m.form(&mut matrix);
    assert_eq!(m.forming_cost(), 1, "{name}");
    assert!(m.evaluations_ahead() >= 7, "{name}");
    for accuracy in [0.25, 0.5] {
        m.learn_accuracy(accuracy);
        assert_eq!(m.accuracy(), Some(accuracy), "{name}");
    }
    for k in 0..3 {
        m.apply(&v[k * D..(k + 1) * D], &mut out);
        assert_eq!(out, block[k * D..(k + 1) * D], "{name}");
        for i in 0..D {
            assert!((matrix[i * D + i] * v[k * D + i] - out[i]).abs() <= 1e-13 * out[i].abs(), "{name}: form");
        }
    }
    for shift in [0.0, 0.5, 1e3] {
        m.apply(&v[..D], &mut out);
        (0..D).for_each(|i| out[i] += shift * v[i]);
        m.preconditioner().expect(name).precondition(shift, &mut out);
        for i in 0..D {
            assert!((out[i] - v[i]).abs() < 1e-13, "{name}: P = M + {shift}");
        }
    }
    errors.store(CallbackError::new("a text"));
    m.apply(&v[..D], &mut out);
    assert!(out[0].is_nan() && m.take_error().is_some() && m.take_error().is_none(), "{name}");
}

#[test]
fn operators_keep_abilities_in_every_wrapper() {
    let able = Able::new();
    let errors = able.errors();
    let m = &able;
    examine("M", m, errors);
    examine("a reference", &&m, errors);
    examine("a box", &(Box::new(ExpandedAble(m)) as Box<dyn Expansion<f64>>), errors);
    examine("shifted", &Shifted { operator: m, shift: 0.3 }, errors);
    let diagonal = vec![2.0; D];
    examine("shifted by a diagonal", &ShiftedDiagonal { operator: m, shift: 0.3, diagonal }, errors);
    examine("scaled", &Scaled { operator: m, factor: 0.25 }, errors);
    examine("sum", &Sum::new(m, Scaled { operator: m, factor: 0.0 }).unwrap(), errors);
    let plain = operator(D, |_: &[f64], out: &mut [f64]| out.fill(0.0));
    let sum = Sum::new(plain, m).unwrap();
    assert!(sum.preconditioner().is_some());
    examine("counted", &Counted::new(m), errors);
    let inverse = |shift: f64, r: &mut [f64]| m.precondition(shift, r);
    examine("preconditioned", &Preconditioned { operator: m, preconditioner: inverse }, errors);
    // One in another.
    let nested = Scaled { operator: Shifted { operator: Counted::new(m), shift: 0.3 }, factor: 3.0 };
    examine("scaled, shifted and counted", &Counted::new(&nested), errors);
    // A negative factor leaves no definite P.
    assert!(SymmetricOperator::preconditioner(&Scaled { operator: m, factor: -1.0 }).is_none());
    let none = operator(D, |_: &[f64], out: &mut [f64]| out.fill(0.0));
    assert!(Shifted { operator: none, shift: 0.3 }.preconditioner().is_none());
}

/// One rank.
struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }
    fn size(&self) -> usize {
        1
    }
    fn sum(&self, _: &mut [f64]) {}
    fn largest(&self, _: &mut [f64]) {}
}

#[test]
fn expansions_keep_abilities_in_every_wrapper() {
    let able = Able::new();
    let x = [0.0; D];
    // Value, divergence and S = I, on top of λ and the shift.
    fn beyond(name: &str, at: &impl Expansion<f64>, shift: f64) {
        let mut out = [0.0; D];
        at.structural_damping().expect(name).damped_product(0.5, &[1.0; D], &mut out);
        assert!((out[0] - 1.5 - shift).abs() < 1e-15, "{name}");
        assert_eq!(at.value_and_divergence(&[0.0; D]), Some((2.0, 3.0)), "{name}");
        at.gradient(&mut out);
        assert_eq!((at.value(), out[1]), (1.0, 4.0), "{name}");
    }
    let f = &able;
    let inverse =
        |_: &[f64]| |shift: f64, r: &mut [f64]| (0..D).for_each(|i| r[i] /= ((i + 1) * (i + 1)) as f64 + shift);
    examine("a reference", &(&f).expand(&x), able.errors());
    beyond("a reference", &(&f).expand(&x), 0.0);
    let boxed: Box<dyn Expansion<f64>> = Box::new(f.expand(&x));
    examine("a box", &boxed, able.errors());
    beyond("a box", &boxed, 0.0);
    examine("counted", &Counted::new(f).expand(&x), able.errors());
    beyond("counted", &Counted::new(f).expand(&x), 0.0);
    examine("shifted", &Shifted { operator: f, shift: 0.3 }.expand(&x), able.errors());
    beyond("shifted", &Shifted { operator: f, shift: 0.3 }.expand(&x), 0.3);
    examine("preconditioned", &with_preconditioner(f, inverse).expand(&x), able.errors());
    beyond("preconditioned", &with_preconditioner(f, inverse).expand(&x), 0.0);
    // A sum over ranks has no preconditioner, since every rank would have another.
    let summed = Summed::new(std::rc::Rc::new(Alone), f);
    beyond("summed", &summed.expand(&x), 0.0);
    assert!(summed.expand(&x).preconditioner().is_none());
    let with = with_divergence(f, |_: &[f64], _: &[f64]| 4.0);
    let at = with.expand(&x);
    examine("with another divergence", &at, able.errors());
    assert_eq!(at.value_and_divergence(&x), Some((1.0, 4.0)));
    assert!(at.structural_damping().is_some());
}

#[test]
fn a_preconditioner_serves_through_wrappers() {
    // Without it a solve takes hundreds of products.
    let n = 400;
    let diagonal: Vec<f64> = (1..=n).map(|i| (i * i) as f64).collect();
    let m = || Preconditioned::diagonal(DiagonalOperator(diagonal.clone()), diagonal.clone()).unwrap();
    let products = |m: &dyn SymmetricOperator<f64>| damped_step(&m, &vec![1.0; n], 1.0).unwrap().products;
    assert_eq!(products(&m()), 2);
    assert_eq!(products(&Shifted { operator: m(), shift: 1.0 }), 2);
    assert_eq!(products(&Scaled { operator: m(), factor: 7.0 }), 2);
    let shifted = ShiftedDiagonal { operator: m(), shift: 0.5, diagonal: vec![2.0; n] };
    assert_eq!(products(&shifted), 2);
    assert!(products(&Sum::new(m(), DiagonalOperator(vec![1.0; n])).unwrap()) <= 20);
    assert!(products(&DiagonalOperator(diagonal.clone())) > 100);
}

#[test]
fn a_shared_operator_is_formed_with_the_same_bits() {
    /// A dense matrix, shared or not.
    struct Dense(usize, bool);
    impl SymmetricOperator<f32> for Dense {
        fn dim(&self) -> usize {
            self.0
        }
        fn apply(&self, v: &[f32], out: &mut [f32]) {
            for (i, out) in out.iter_mut().enumerate() {
                *out = v.iter().enumerate().map(|(j, v)| v / (1 + i + j) as f32).sum();
            }
        }
        fn shared(&self) -> Option<&(dyn SymmetricOperator<f32> + Sync)> {
            self.1.then_some(self)
        }
    }
    for d in [1, 2, 15, 16, 17, 100] {
        let form = |shared: bool| {
            let mut matrix = vec![f32::NAN; d * d];
            let dense = &Dense(d, shared);
            dense.form(&mut matrix);
            matrix
        };
        let matrix = form(true);
        assert_eq!(matrix, form(false));
        assert!((0..d * d).all(|k| matrix[k] == 1.0 / (1 + k / d + k % d) as f32), "{d}");
    }
}

#[test]
fn models_keep_abilities_with_second_derivatives() {
    /// The identity, with all abilities but second derivatives.
    struct Hidden;
    struct HiddenAt([f64; 2]);
    impl Model<f64> for Hidden {
        fn dim(&self) -> usize {
            2
        }
        fn output_dim(&self) -> usize {
            2
        }
        fn evaluate(&self, x: &[f64], out: &mut [f64]) {
            out.copy_from_slice(x);
        }
        fn linearize<'a>(&'a self, x: &'a [f64]) -> impl Linearization<f64> + 'a {
            HiddenAt([x[0], x[1]])
        }
        fn hidden_states(&self) -> bool {
            true
        }
        fn layers(&self) -> Vec<LayerShape> {
            vec![LayerShape { start: 0, inputs: 1, outputs: 1, places: 1 }]
        }
    }
    impl LinearMap<f64> for HiddenAt {
        fn rows(&self) -> usize {
            2
        }
        fn columns(&self) -> usize {
            2
        }
        fn apply(&self, v: &[f64], out: &mut [f64]) {
            out.copy_from_slice(v);
        }
        fn apply_transpose(&self, u: &[f64], out: &mut [f64]) {
            out.copy_from_slice(u);
        }
        fn form(&self, matrix: &mut [f64]) {
            matrix.copy_from_slice(&[1.0, 0.0, 0.0, 1.0]);
        }
        fn forming_cost(&self) -> usize {
            0
        }
    }
    impl Linearization<f64> for HiddenAt {
        fn outputs(&self) -> &[f64] {
            &self.0
        }
        fn structural_product(&self, _: &dyn Fn(&[f64], &mut [f64]), weight: f64, _: &[f64], out: &mut [f64]) {
            out.fill(weight);
        }
        fn add_layer_moments(&self, _: &[f64], inputs: &mut [Vec<f64>], _: &mut [Vec<f64>]) {
            inputs[0][0] += 1.0;
        }
    }
    let model = with_second_order(&Hidden, |_: &[f64], _, v, out| out.copy_from_slice(v));
    let model = &model;
    assert!(model.second_order() && model.hidden_states());
    assert_eq!(model.layers(), Hidden.layers());
    let (x, mut out, mut moments) = ([1.0, 2.0], [0.0; 2], [vec![0.0; 4]]);
    let at = model.linearize(&x);
    assert_eq!((at.forming_cost(), at.outputs()), (0, &x[..]));
    at.structural_product(&|_, _| (), 5.0, &x, &mut out);
    assert_eq!(out, [5.0; 2]);
    at.add_layer_moments(&x, &mut moments, &mut []);
    assert_eq!(moments[0][0], 1.0);

    // Residual blocks stay blocks: the outliers of a robust fit are weighed where they are.
    let mut structure = BlockStructure::new();
    structure.parameters(600, 1).unwrap();
    (0..600).for_each(|i| assert_eq!(structure.residual(1, &[i]).unwrap(), i));
    let blocks = structure.model(|_, x: &[f64], r: &mut [f64], jacobian: Option<&mut [f64]>| {
        r[0] = x[0] - 1.0;
        jacobian.into_iter().for_each(|j| j[0] = 1.0);
    });
    let products = |report: LeastSquaresReport<f64>| (report.termination, report.counts);
    let plain = products(LevenbergMarquardt::default().minimize(&LeastSquares::new(&blocks), &[0.0; 600]).unwrap());
    let second = with_second_order(&blocks, |_: &[f64], _, _, out| out.fill(0.0));
    let kept = products(LevenbergMarquardt::default().minimize(&LeastSquares::new(&second), &[0.0; 600]).unwrap());
    assert_eq!(plain, kept);
}
