//! Reads points from CSV: t, y and, if known, the standard deviation of y. A first row without numbers is a header.

use std::error::Error;

/// A decay, 2.5 exp(−0.6 t) + 0.5 with errors of 0.04, and two outliers at 2 and 4.25.
pub const BUILT_IN: &str = "\
t,y
0.00,3.002
0.25,2.670
0.50,2.334
0.75,2.108
1.00,1.909
1.25,1.697
1.50,1.579
1.75,1.339
2.00,2.656
2.25,1.120
2.50,1.026
2.75,0.973
3.00,0.922
3.25,0.872
3.50,0.826
3.75,0.853
4.00,0.761
4.25,-0.269
4.50,0.676
4.75,0.620
5.00,0.604
5.25,0.659
5.50,0.583
5.75,0.501
6.00,0.581
";

/// An observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub t: f64,
    pub y: f64,
    /// The standard deviation of y; 1 where the file has none.
    pub sigma: f64,
    /// Where it stands in the file, counted from 1.
    pub line: usize,
}

/// Points, and whether their standard deviations are known.
pub struct Data {
    pub points: Vec<Point>,
    pub with_sigma: bool,
}

const COLUMNS: [&str; 3] = ["t", "y", "sigma"];

/// Reads `text`, which errors call `name`.
///
/// # Errors
/// With name, line and column (counted from 1, of the table) for what is no finite number, a sigma that is not positive
/// and rows of other lengths than 2 or 3 or than the rows above; without a line if there are no points.
pub fn read(name: &str, text: &str) -> Result<Data, Box<dyn Error>> {
    // Some spreadsheets begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let (mut points, mut width, mut first) = (Vec::<Point>::new(), 0, true);
    let (mut line, mut read_to) = (1, 0);
    for record in reader.records() {
        let record = record.map_err(|error| format!("{name}: {error}"))?;
        // A record's own position counts empty lines before it as part of it.
        let begin = record.position().map_or(read_to, |position| position.byte() as usize);
        let skipped = text[begin..].len() - text[begin..].trim_start_matches(['\r', '\n']).len();
        line += text[read_to..begin + skipped].matches('\n').count();
        read_to = begin + skipped;

        if record.iter().all(str::is_empty) {
            continue;
        }
        let header = std::mem::take(&mut first) && record.iter().all(|field| field.parse::<f64>().is_err());
        let error = |column: usize, problem: String| format!("{name}: line {line}, column {column}: {problem}");
        if !(2..=3).contains(&record.len()) {
            let problem = format!("expected t,y or t,y,sigma, found {} columns", record.len());
            return Err(error(record.len().clamp(1, 4), problem).into());
        }
        if width != 0 && record.len() != width {
            let problem = format!("expected {width} columns as in the rows above, found {}", record.len());
            return Err(error(record.len().min(width) + 1, problem).into());
        }
        width = record.len();
        if header {
            continue;
        }
        let mut numbers = [0.0, 0.0, 1.0];
        for (j, field) in record.iter().enumerate() {
            let number = field.parse::<f64>().ok().filter(|number| number.is_finite());
            numbers[j] =
                number.ok_or_else(|| error(j + 1, format!("{} '{field}' is not a finite number", COLUMNS[j])))?;
        }
        let [t, y, sigma] = numbers;
        if sigma <= 0.0 {
            return Err(error(3, format!("sigma {sigma} is not positive")).into());
        }
        points.push(Point { t, y, sigma, line });
    }
    if points.is_empty() {
        return Err(format!("{name}: there are no points").into());
    }
    Ok(Data { points, with_sigma: width == 3 })
}
