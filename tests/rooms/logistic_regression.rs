//! Logistic regression against differences, dense matrices and hand-made truth; the LIBSVM reader against bad input.

use crate::numbers::numbers;
use newton_krylov::problems::{
    LabeledRows, LibsvmProblem, LogisticRegression, SparseRows, generate_wide_sparse, parse_libsvm, read_libsvm_file,
    write_libsvm,
};
use newton_krylov::{Error, Expansion, Objective, Scalar, SymmetricOperator};

const HEART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/heart_scale");

fn heart<T: Scalar>(c: f64) -> LogisticRegression<T> {
    LogisticRegression::from_labeled(read_libsvm_file(HEART).unwrap(), c).unwrap()
}

/// Numbers between −½ and ½.
fn vector<T: Scalar>(n: usize, seed: u64) -> Vec<T> {
    numbers::<T>(n, seed).into_iter().map(|v| v * T::from_f64(0.5)).collect()
}

fn gradient<T: Scalar>(problem: &LogisticRegression<T>, w: &[T]) -> Vec<T> {
    let mut g = vec![T::nan(); w.len()];
    problem.expand(w).gradient(&mut g);
    g
}

fn product<T: Scalar>(problem: &LogisticRegression<T>, w: &[T], v: &[T]) -> Vec<T> {
    let mut hv = vec![T::nan(); v.len()];
    problem.expand(w).apply(v, &mut hv);
    hv
}

/// I + C XᵀDX from the dense X, by the definition.
fn dense_hessian(problem: &LogisticRegression<f64>, c: f64, w: &[f64]) -> Vec<f64> {
    let (x, d) = (problem.features(), w.len());
    let mut h = vec![0.0; d * d];
    (0..d).for_each(|j| h[j * d + j] = 1.0);
    for i in 0..x.rows() {
        let mut row = vec![0.0; d];
        let (columns, values) = x.row(i);
        columns.iter().zip(values).for_each(|(&j, &v)| row[j as usize] = v);
        let z: f64 = row.iter().zip(w).map(|(x, w)| x * w).sum();
        let sigma = 1.0 / (1.0 + (-z).exp());
        for a in 0..d {
            for b in 0..d {
                h[a * d + b] += c * sigma * (1.0 - sigma) * row[a] * row[b];
            }
        }
    }
    h
}

fn assert_close(a: &[f64], b: &[f64], tolerance: f64) {
    let scale = b.iter().fold(0.0_f64, |m, b| m.max(b.abs()));
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "component {i}: {a} and {b}, scale {scale}");
    }
}

#[test]
fn gradient_agrees_with_differences_of_the_value() {
    let problem = heart::<f64>(3.0);
    let w = vector::<f64>(13, 1);
    let differences: Vec<f64> = (0..13)
        .map(|j| {
            let shifted = |h: f64| {
                let mut w = w.clone();
                w[j] += h;
                problem.value(&w)
            };
            (8.0 * (shifted(1e-3) - shifted(-1e-3)) - (shifted(2e-3) - shifted(-2e-3))) / 12e-3
        })
        .collect();
    assert_close(&gradient(&problem, &w), &differences, 1e-10);
}

#[test]
fn products_agree_with_the_dense_matrix() {
    let small = LogisticRegression::from_labeled(generate_wide_sparse::<f64>(3000, 70, 5).unwrap(), 0.5).unwrap();
    for (problem, c) in [(heart(2.0), 2.0), (small, 0.5)] {
        let d = problem.dim();
        let w = vector::<f64>(d, 2);
        let h = dense_hessian(&problem, c, &w);
        let v = vector::<f64>(d * 7, 3);
        let expansion = problem.expand(&w);

        let mut block = vec![f64::NAN; d * 7];
        expansion.apply_block(&v, &mut block);
        for (v, block) in v.chunks(d).zip(block.chunks(d)) {
            let exact: Vec<f64> = h.chunks(d).map(|row| row.iter().zip(v).map(|(h, v)| h * v).sum()).collect();
            let single = product(&problem, &w, v);
            assert_close(&single, &exact, 1e-13);
            assert_eq!(single, block);
        }

        let mut matrix = vec![f64::NAN; d * d];
        expansion.form(&mut matrix);
        assert_close(&matrix, &h, 1e-13);

        let mut diagonal = vec![f64::NAN; d];
        problem.at(&w).hessian_diagonal(&mut diagonal);
        let exact: Vec<f64> = (0..d).map(|j| h[j * d + j]).collect();
        assert_close(&diagonal, &exact, 1e-13);
    }
}

#[test]
fn forming_cost_counts_multiply_adds() {
    // Rows with 3, 1 and 8 entries: (9 + 1 + 64)/2 multiply-adds for the matrix, 2·12 for a product.
    let set = parse_libsvm::<f64>("1 1:1 2:1 3:1\n-1 5:1\n1 1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1\n").unwrap();
    let problem = LogisticRegression::from_labeled(set, 1.0).unwrap();
    assert_eq!(problem.expand(&[0.0; 8]).forming_cost(), 2);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let set = generate_wide_sparse::<f64>(20_000, 300, 11).unwrap();
    let w = vector::<f64>(300, 4);
    let v = vector::<f64>(300 * 5, 5);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let problem = LogisticRegression::from_labeled(set.clone(), 1.0).unwrap();
            let mut numbers = vec![problem.value(&w)];
            numbers.extend(gradient(&problem, &w));
            numbers.extend(product(&problem, &w, &v[..300]));
            let expansion = problem.at(&w);
            let (mut block, mut matrix, mut diagonal) = (vec![0.0; 300 * 5], vec![0.0; 300 * 300], vec![0.0; 300]);
            expansion.apply_block(&v, &mut block);
            expansion.form(&mut matrix);
            expansion.hessian_diagonal(&mut diagonal);
            numbers.extend([block, matrix, diagonal].concat());
            numbers.push(problem.accuracy(&w));
            numbers.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(5));
}

#[test]
fn single_precision_agrees_with_double() {
    let (single, double) = (heart::<f32>(1.0), heart::<f64>(1.0));
    let (w, v) = (vector::<f64>(13, 6), vector::<f64>(13, 7));
    let (w32, v32): (Vec<f32>, Vec<f32>) =
        (w.iter().map(|&w| w as f32).collect(), v.iter().map(|&v| v as f32).collect());
    let wide = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<_>>();
    assert!((single.value(&w32) / double.value(&w) - 1.0).abs() < 1e-6);
    assert_close(&wide(gradient(&single, &w32)), &gradient(&double, &w), 1e-6);
    assert_close(&wide(product(&single, &w32, &v32)), &product(&double, &w, &v), 1e-6);
}

#[test]
fn extreme_margins_neither_overflow_nor_vanish() {
    let rows = SparseRows::from_dense(1, &[1.0, -1.0]).unwrap();
    // Both rows have the margin w.
    let problem = LogisticRegression::new(rows, vec![1.0, -1.0], 2.0).unwrap();
    let tail = (-300.0_f64).exp();
    let at = |w: f64| (problem.value(&[w]) - 0.5 * w * w, gradient(&problem, &[w])[0] - w);

    // log(1 + exp(−m)) → −m.
    assert_eq!(at(-1e6).1, -4.0);
    assert_eq!(problem.value(&[-1e6]), 0.5e12 + 4e6);
    assert_eq!(product(&problem, &[-1e6], &[1.0]), [1.0]);
    // No cancellation in the tail: exp(−300) is far below the unit roundoff of 1.
    let separated = LogisticRegression::new(SparseRows::from_dense(1, &[1.0, -1.0]).unwrap(), vec![1.0, -1.0], 1e200);
    let separated = separated.unwrap();
    let relative = |a: f64, b: f64| (a / b - 1.0).abs();
    assert!(relative(separated.value(&[300.0]), 2e200 * tail) < 1e-14);
    assert!(relative(gradient(&separated, &[300.0])[0], -2e200 * tail) < 1e-14);
    assert!(relative(product(&separated, &[300.0], &[1.0])[0], 2e200 * tail) < 1e-14);
    assert!(relative(product(&separated, &[-300.0], &[1.0])[0], 2e200 * tail) < 1e-14);
    // Far out on the right side everything but the regulariser is zero.
    assert_eq!(at(1e6), (0.0, 0.0));
    assert!(problem.value(&[f64::NAN]).is_nan());
    assert_eq!(problem.value(&[f64::NEG_INFINITY]), f64::INFINITY);
}

#[test]
fn a_new_point_is_never_answered_from_an_old_one() {
    let problem = heart::<f64>(1.0);
    let (w, u) = (vector::<f64>(13, 8), vector::<f64>(13, 9));
    let fresh = |w: &[f64]| (heart::<f64>(1.0).value(w), gradient(&heart::<f64>(1.0), w));
    let old = problem.expand(&w);
    assert_eq!(problem.value(&u), fresh(&u).0);
    assert_eq!(old.value(), fresh(&w).0);
    let mut g = vec![f64::NAN; 13];
    assert_eq!(problem.value(&u), fresh(&u).0);
    old.gradient(&mut g);
    assert_eq!(g, fresh(&w).1);
    assert_eq!(gradient(&problem, &u), fresh(&u).1);
}

#[test]
fn the_minimum_of_heart_scale_is_the_known_one() {
    // Newton's method in full, by the formed matrix and Gaussian elimination.
    let problem = heart::<f64>(1.0);
    let d = 13;
    let mut w = vec![0.0; d];
    for _ in 0..12 {
        let (mut h, mut g) = (vec![0.0; d * d], gradient(&problem, &w));
        problem.expand(&w).form(&mut h);
        for k in 0..d {
            for i in k + 1..d {
                let factor = h[i * d + k] / h[k * d + k];
                (k..d).for_each(|j| h[i * d + j] -= factor * h[k * d + j]);
                g[i] -= factor * g[k];
            }
        }
        for k in (0..d).rev() {
            let known: f64 = (k + 1..d).map(|j| h[k * d + j] * g[j]).sum();
            g[k] = (g[k] - known) / h[k * d + k];
        }
        w.iter_mut().zip(&g).for_each(|(w, g)| *w -= g);
    }
    // LIBLINEAR 2.50 with -s 0 -c 1 -B -1 -e 1e-10: value and count of right rows at its answer.
    assert!((problem.value(&w) - 98.226_799_508_136_8).abs() < 1e-11);
    assert!(gradient(&problem, &w).iter().all(|g| g.abs() < 1e-12));
    assert_eq!(problem.accuracy(&w), 226.0 / 270.0);
}

#[test]
fn the_generated_set_is_the_same_everywhere() {
    let LabeledRows { features, labels, .. } = generate_wide_sparse::<f64>(2000, 500, 7).unwrap();
    assert_eq!((features.rows(), features.cols()), (2000, 500));
    assert!(features.row(0).0.windows(2).all(|pair| pair[0] < pair[1]));
    let positive = labels.iter().filter(|&&l| l > 0.0).count();
    let checksum = (0..2000).flat_map(|i| features.row(i).1).fold(0_u64, |sum, v| sum.rotate_left(7) ^ v.to_bits());
    assert_eq!((features.nonzeros(), positive, checksum), (63_412, 837, 12_863_437_945_074_898_132));
}

#[test]
fn constructors_refuse_what_does_not_fit() {
    let rows = || SparseRows::from_dense(2, &[1.0, 2.0, 0.0, 3.0]).unwrap();
    let error = |labels: Vec<f64>, c: f64| LogisticRegression::new(rows(), labels, c).err().unwrap();
    assert_eq!(error(vec![1.0], 1.0), Error::Length { argument: "labels", expected: 2, found: 1 });
    assert!(matches!(error(vec![1.0, 0.0], 1.0), Error::OutOfRange { argument: "labels", value: 0.0, .. }));
    assert!(matches!(error(vec![1.0, f64::NAN], 1.0), Error::NotFinite { argument: "labels", index: Some(1), .. }));
    for c in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(error(vec![1.0, -1.0], c), Error::OutOfRange { argument: "c", .. }));
    }
    let matrix = |starts: &[usize], columns: &[u32], cols| {
        SparseRows::new(starts.to_vec(), columns.to_vec(), vec![1.0; columns.len()], cols)
    };
    assert!(matrix(&[0, 2, 2, 3], &[0, 4, 1], 5).is_ok());
    for (starts, columns, cols) in [
        (&[][..], &[][..], 3),
        (&[0], &[], 3),
        (&[0, 1], &[0], 0),
        (&[1, 2], &[0, 1], 3),
        (&[0, 2, 1], &[0, 1], 3),
        (&[0, 1], &[0, 1], 3),
        (&[0, 3], &[0, 1], 3),
        (&[0, 2], &[1, 1], 3),
        (&[0, 2], &[2, 1], 3),
        (&[0, 1], &[3], 3),
    ] {
        assert!(matrix(starts, columns, cols).is_err(), "{starts:?} {columns:?} {cols}");
    }
    assert!(SparseRows::from_dense(2, &[1.0; 3]).is_err());
    assert!(SparseRows::from_dense(2, &[1.0, f64::INFINITY]).is_err());
    assert!(generate_wide_sparse::<f64>(0, 5, 1).is_err());
    assert!(generate_wide_sparse::<f64>(5, 0, 1).is_err());
}

#[test]
fn texts_are_read_whatever_their_line_ends_and_labels() {
    let set = parse_libsvm::<f64>("# a set\r\n1 1:0.5 3:-2e1 \r\n\r\n0\t2:+.25 # end\r\n 0   \r\n1 4:7.").unwrap();
    assert_eq!((set.features.rows(), set.features.cols(), set.features.nonzeros()), (4, 4, 4));
    assert_eq!(set.labels, [1.0, -1.0, -1.0, 1.0]);
    assert_eq!(set.classes, [0.0, 1.0]);
    assert_eq!(set.features.row(0), (&[0, 2][..], &[0.5, -20.0][..]));
    assert_eq!(set.features.row(1), (&[1][..], &[0.25][..]));
    assert_eq!(set.features.row(2), (&[][..], &[][..]));
    assert_eq!(set.features.row(3), (&[3][..], &[7.0][..]));
    assert_eq!(parse_libsvm::<f64>("2 1:1\n-3 1:1\n").unwrap().labels, [1.0, -1.0]);
    assert_eq!(set.features.clone().widen(9).cols(), 9);
    assert_eq!(set.features.widen(1).cols(), 4);
}

#[test]
fn numbers_are_read_to_the_last_bit() {
    let texts = ["0.1", "123456789.012345", "-0", "0.000000000000001", "1e-310", "9007199254740993", "5e-1", "00.5"];
    let long = ["0.1234567890123456789", "3.14159265358979323846", ".333333333333333", "999999999999999", "-1.e2"];
    for text in texts.iter().chain(&long) {
        let set = parse_libsvm::<f64>(&format!("1 1:{text}\n-1 1:1\n")).unwrap();
        assert_eq!(set.features.row(0).1[0].to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
    }
}

#[test]
fn bad_texts_are_refused_with_the_place() {
    let cases = [
        ("", 0, 1, "input: there is no data"),
        ("# nothing\n\n", 2, 1, "there is no data"),
        ("1\n-1\n", 2, 1, "there is no data"),
        ("1 1:1\n1 2:1\n", 2, 1, "all rows have the label 1"),
        ("1 1:1\n-1 1:1\n  3 1:1\n", 3, 3, "the label 3 is a third one after -1 and 1"),
        ("one 1:1\n", 1, 1, "the label \"one\" is not a finite number"),
        ("nan 1:1\n", 1, 1, "the label \"nan\" is not a finite number"),
        ("1 1:1\n-1 2:1 3:x\n", 2, 10, "the value \"x\" is not a number"),
        ("1 1:1.2.3\n", 1, 5, "the value \"1.2.3\" is not a number"),
        ("1 1:-\n", 1, 5, "the value \"-\" is not a number"),
        ("1 1:.\n", 1, 5, "the value \".\" is not a number"),
        ("1 1:\n", 1, 5, "the value \"\" is not a number"),
        ("1 1:NaN\n", 1, 5, "the value NaN is not finite"),
        ("1 1:1 2:-inf\n", 1, 9, "the value -inf is not finite"),
        ("1 1:1e999\n", 1, 5, "the value 1e999 is not finite"),
        ("1 1:1 0:2\n", 1, 7, "the index is 0"),
        ("1 2:1 2:2\n", 1, 7, "the index 2 follows 2"),
        ("1 5:1 4:2\n", 1, 7, "the index 4 follows 5"),
        ("1 -1:1\n", 1, 3, "the index \"-1\" is not a whole number"),
        ("1 1.5:1\n", 1, 3, "the index \"1.5\" is not a whole number"),
        ("1 4294967296:1\n", 1, 3, "the index \"4294967296\" is not a whole number"),
        ("1 :1\n", 1, 3, "the index \"\" is not a whole number"),
        ("1 1:1 seven\n", 1, 7, "\"seven\" is not of the form index:value"),
        ("1 1:ä 2:x\n", 1, 5, "the value \"ä\" is not a number"),
        ("ä 1:1\n", 1, 1, "the label \"ä\" is not a finite number"),
    ];
    for (text, line, column, message) in cases {
        let error = parse_libsvm::<f64>(text).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{text:?}: {error}");
        assert!(error.to_string().contains(message), "{text:?}: {error}");
    }
    assert!(matches!(parse_libsvm::<f32>("1 1:1e39\n").unwrap_err().problem, LibsvmProblem::NotFinite(_)));
    let error = read_libsvm_file::<f64>("no/such/file").unwrap_err();
    assert!(matches!(error.problem, LibsvmProblem::Io(_)));
    assert!(error.to_string().starts_with("no/such/file: "), "{error}");
}

#[test]
fn what_is_written_reads_back_bit_by_bit() {
    for set in [generate_wide_sparse::<f64>(300, 200, 3).unwrap(), read_libsvm_file(HEART).unwrap()] {
        let mut text = vec![];
        write_libsvm(&mut text, &set.features, &set.labels).unwrap();
        let back = parse_libsvm::<f64>(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(back.features.widen(set.features.cols()), set.features);
        assert_eq!(back.labels, set.labels);
    }
}
