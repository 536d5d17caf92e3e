//! Reads points from CSV: t, y and, if known, the standard deviation of y. A first row without numbers is a header; where
//! it names t and y the columns are found by name, otherwise they are the first two or three.

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
    /// How the columns are taken.
    pub columns: String,
}

const COLUMNS: [&str; 3] = ["t", "y", "sigma"];
/// What headers call them.
const NAMES: [&[&str]; 3] =
    [&["t", "x", "time"], &["y", "value", "signal"], &["sigma", "s", "error", "err", "yerr", "std", "uncertainty"]];

/// Which column is t, which y, and which sigma, if any.
struct Taken {
    at: [Option<usize>; 3],
    by_name: bool,
}

impl Taken {
    fn by_place(width: usize) -> Self {
        Taken { at: [Some(0), Some(1), (width == 3).then_some(2)], by_name: false }
    }

    fn by_name(header: &csv::StringRecord) -> Option<Self> {
        let find = |names: &[&str]| header.iter().position(|name| names.contains(&name.to_lowercase().as_str()));
        let at = NAMES.map(find);
        (at[0].is_some() && at[1].is_some()).then_some(Taken { at, by_name: true })
    }

    fn describe(&self, header: Option<&csv::StringRecord>) -> String {
        let column = |j: usize| {
            let at = self.at[j]?;
            let name = header.and_then(|header| header.get(at)).map_or(String::new(), |name| format!(" '{name}'"));
            Some(format!("{} from column {}{name}", COLUMNS[j], at + 1))
        };
        let how = if self.by_name { ", by name" } else { ", by place" };
        (0..3).filter_map(column).collect::<Vec<_>>().join(", ") + how
    }
}

/// Reads `text`, which errors call `name`.
///
/// # Errors
/// With name, line and column (counted from 1, of the table) for what is no finite number, a sigma that is not positive
/// and rows of other lengths than 2 or 3, unless a header names t and y, or than the rows above; without a line if there
/// are no points.
pub fn read(name: &str, text: &str) -> Result<Data, Box<dyn Error>> {
    // Some spreadsheets begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let (mut points, mut width, mut first) = (Vec::<Point>::new(), 0, true);
    let (mut line, mut read_to) = (1, 0);
    let (mut taken, mut names) = (None::<Taken>, None);
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
        if header {
            taken = Taken::by_name(&record);
            names = Some(record.clone());
        }
        if taken.is_none() && !(2..=3).contains(&record.len()) {
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
        let taken = taken.get_or_insert_with(|| Taken::by_place(width));
        let mut numbers = [0.0, 0.0, 1.0];
        for (j, at) in taken.at.iter().enumerate() {
            let Some(at) = *at else { continue };
            let field = &record[at];
            let number = field.parse::<f64>().ok().filter(|number| number.is_finite());
            numbers[j] =
                number.ok_or_else(|| error(at + 1, format!("{} '{field}' is not a finite number", COLUMNS[j])))?;
        }
        let [t, y, sigma] = numbers;
        if sigma <= 0.0 {
            return Err(error(taken.at[2].map_or(3, |at| at + 1), format!("sigma {sigma} is not positive")).into());
        }
        points.push(Point { t, y, sigma, line });
    }
    if points.is_empty() {
        return Err(format!("{name}: there are no points").into());
    }
    let taken = taken.unwrap_or(Taken::by_place(width));
    Ok(Data { points, with_sigma: taken.at[2].is_some(), columns: taken.describe(names.as_ref()) })
}
