//! Tables, the curve as CSV, and the line of JSON.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use newton_krylov::Counts;
use serde_json::{Value, json};

use crate::arguments::name;
use crate::idx::Images;
use crate::{Errors, Mark, Run};

/// Rows of the table of times, at most.
const ROWS: usize = 12;

/// The methods side by side, and how each ended.
pub fn tables(runs: &[Run], times: &[f64], reach: &[f64]) {
    println!("\nsquared error per image after so many seconds");
    header("seconds", runs);
    let stride = times.len().div_ceil(ROWS).max(1);
    for time in times.iter().rev().step_by(stride).collect::<Vec<_>>().into_iter().rev() {
        print!("{time:>12.2}");
        for run in runs {
            match run.curve.iter().find(|mark| mark.seconds >= *time) {
                Some(mark) => print!(" {:>17.4}", mark.errors.squared),
                None => print!(" {:>17}", "-"),
            }
        }
        println!();
    }
    if !reach.is_empty() {
        println!("\nproducts, gradients and seconds to a cross entropy per image of");
        header("at most", runs);
        for (k, target) in reach.iter().enumerate() {
            print!("{target:>12}");
            for run in runs {
                let cell = run.reached[k].map_or("-".into(), |Mark { seconds, counts, .. }| {
                    format!("{} {} {seconds:.1}", counts.products, counts.gradients)
                });
                print!(" {cell:>17}");
            }
            println!();
        }
    }
    println!();
    for Run { method, trained, end, .. } in runs {
        let Counts { values, gradients, products, .. } = trained.counts;
        println!(
            "{}: squared error {:.4}, cross entropy {:.3} per image after {:.1} s; {} iterations, {values} values, \
             {gradients} gradients, {products} products ({})",
            name(*method),
            end.squared,
            end.cross_entropy,
            trained.seconds,
            trained.iterations,
            trained.termination
        );
    }
}

fn header(first: &str, runs: &[Run]) {
    print!("{first:>12}");
    runs.iter().for_each(|run| print!(" {:>17}", name(run.method)));
    println!();
}

/// All curves, a row for every evaluation.
pub fn csv(path: &Path, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let mut table = BufWriter::new(File::create(path)?);
    writeln!(
        table,
        "method,seconds,squared_error_per_image,cross_entropy_per_image,iterations,values,gradients,products"
    )?;
    for run in runs {
        for Mark { seconds, iterations, counts: Counts { values, gradients, products, .. }, errors, .. } in &run.curve {
            let (name, Errors { squared, cross_entropy }) = (name(run.method), errors);
            writeln!(table, "{name},{seconds},{squared},{cross_entropy},{iterations},{values},{gradients},{products}")?;
        }
    }
    Ok(table.flush()?)
}

/// The first run, and the others within it.
pub fn json(runs: &[Run], images: &Images, parameters: usize, reach: &[f64]) -> Value {
    let mut line = of_run(&runs[0], images, reach);
    line["images"] = images.count().into();
    line["parameters"] = parameters.into();
    line["others"] = runs[1..].iter().map(|run| of_run(run, images, reach)).collect();
    line
}

fn of_run(run: &Run, images: &Images, reach: &[f64]) -> Value {
    let Run { method, curve, reached, trained, end } = run;
    let reached = reach.iter().zip(reached).filter_map(|(target, mark)| {
        let mut mark = of_mark(mark.as_ref()?);
        mark["target"] = json!(target);
        Some(mark)
    });
    json!({
        "method": name(*method),
        "squared_error_per_image": end.squared,
        "cross_entropy_per_image": end.cross_entropy,
        "seconds": trained.seconds,
        "iterations": trained.iterations,
        "values": trained.counts.values,
        "gradients": trained.counts.gradients,
        "products": trained.counts.products,
        "epochs": trained.samples.gradients as f64 / images.count() as f64,
        "sample_values": trained.samples.values,
        "sample_gradients": trained.samples.gradients,
        "sample_products": trained.samples.products,
        "termination": trained.termination.to_string(),
        "curve": curve.iter().map(of_mark).collect::<Vec<_>>(),
        "reached": reached.collect::<Vec<_>>(),
    })
}

fn of_mark(mark: &Mark) -> Value {
    json!({
        "seconds": mark.seconds,
        "iterations": mark.iterations,
        "values": mark.counts.values,
        "gradients": mark.counts.gradients,
        "products": mark.counts.products,
        "sample_values": mark.samples.values,
        "sample_gradients": mark.samples.gradients,
        "sample_products": mark.samples.products,
        "squared_error_per_image": mark.errors.squared,
        "cross_entropy_per_image": mark.errors.cross_entropy,
    })
}
