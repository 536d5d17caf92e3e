//! From a recorded function to an objective, or to a least-squares problem, with exact products: the file to copy.
//!
//! A function is recorded once, for the branches that it takes where it is recorded. Replaying costs no allocation of the
//! tape; a product with the Hessian is one forward and one reverse pass over dual numbers.

use std::cell::RefCell;

use echidna::{BytecodeTape, Dual};
use newton_krylov::{LeastSquares, Model, Objective, least_squares, objective};

/// f, ∇f and ∇²f·v of a tape with one output.
pub fn recorded_objective(tape: &BytecodeTape<f64>) -> impl Objective<f64> + '_ {
    let values = RefCell::new(vec![]);
    let (duals, adjoints) = (RefCell::new(vec![]), RefCell::new(vec![]));
    objective(
        tape.num_inputs(),
        move |x: &[f64]| {
            let mut values = values.borrow_mut();
            tape.forward_into(x, &mut values);
            values[tape.output_index()]
        },
        |x, g| {
            let mut values = vec![];
            tape.forward_into(x, &mut values);
            g.copy_from_slice(&tape.reverse_from(&values, tape.output_index() as u32)[..g.len()]);
        },
        move |x, v, out| {
            let (_, product) = tape.hvp_with_buf(x, v, &mut duals.borrow_mut(), &mut adjoints.borrow_mut());
            out.copy_from_slice(&product);
        },
    )
}

/// r, Jv and Jᵀu of a tape with several outputs.
pub fn recorded_residuals(tape: BytecodeTape<f64>) -> LeastSquares<f64, impl Model<f64>> {
    let (rows, columns) = (tape.num_outputs(), tape.num_inputs());
    let tape = std::rc::Rc::new(RefCell::new(tape));
    let (of_value, of_product) = (tape.clone(), tape.clone());
    let duals = RefCell::new(vec![]);
    least_squares(
        rows,
        columns,
        move |x: &[f64], r: &mut [f64]| {
            let mut tape = of_value.borrow_mut();
            tape.forward(x);
            r.copy_from_slice(&tape.output_values());
        },
        move |x, v, jv| {
            let (tape, mut duals) = (of_product.borrow(), duals.borrow_mut());
            let inputs: Vec<_> = x.iter().zip(v).map(|(&x, &v)| Dual::new(x, v)).collect();
            tape.forward_tangent_dual(&inputs, &mut duals);
            jv.iter_mut().zip(tape.all_output_indices()).for_each(|(jv, &i)| *jv = duals[i as usize].eps);
        },
        move |x, u, jtu| jtu.copy_from_slice(&tape.borrow_mut().vjp_multi(x, u)),
    )
}
