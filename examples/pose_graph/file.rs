//! Pose graphs in g2o's and TORO's text formats. One item a line; angles in radians, lengths in the file's unit.
//!
//! | line | numbers |
//! | --- | --- |
//! | `VERTEX_SE2 id`, `VERTEX2 id` | x y θ |
//! | `VERTEX_SE3:QUAT id` | x y z, quaternion x y z w |
//! | `EDGE_SE2 i j` | x y θ, information 11 12 13 22 23 33 |
//! | `EDGE2 i j` | x y θ, information 11 12 22 33 13 23 |
//! | `EDGE_SE3:QUAT i j` | x y z, quaternion, information's upper triangle by rows |
//! | `EQUIV`, `FIX`, `#` | ignored |

use std::collections::HashMap;
use std::fmt::Display;

use super::geometry::{Matrix, Plane, Pose, Space};

/// A measurement between two poses, by their positions in the list.
pub struct Edge<P, const N: usize> {
    pub from: usize,
    pub to: usize,
    pub measured: P,
    /// An upper triangular U with UᵀU = Ω, the information matrix.
    pub root: Matrix<N>,
}

/// Poses and edges of one kind.
pub struct Graph<P, const N: usize> {
    pub poses: Vec<P>,
    pub edges: Vec<Edge<P, N>>,
}

/// What a file holds.
pub enum Contents {
    Plane(Graph<Plane, 3>),
    Space(Graph<Space, 6>),
}

/// The poses as vertices of a g2o file.
pub fn vertices<P: Pose<N>, const N: usize>(poses: &[P]) -> String {
    let line = |(id, pose): (usize, &P)| {
        let (tag, numbers) = pose.vertex();
        let numbers: String = numbers.iter().map(|v| format!(" {v}")).collect();
        format!("{tag} {id}{numbers}\n")
    };
    poses.iter().enumerate().map(line).collect()
}

/// Something wrong in a file: line and column count from 1.
type Fault = (usize, usize, String);

/// The words of a line with their columns.
struct Line<'a> {
    number: usize,
    words: Vec<(usize, &'a str)>,
}

impl<'a> Line<'a> {
    fn fault(&self, word: usize, what: impl Display) -> Fault {
        let end = self.words.last().map_or(1, |(column, word)| column + word.len());
        (self.number, self.words.get(word).map_or(end, |w| w.0), what.to_string())
    }

    fn id(&self, word: usize) -> Result<u64, Fault> {
        let text = self.words.get(word).ok_or_else(|| self.fault(word, "an id is missing"))?.1;
        text.parse().map_err(|_| self.fault(word, format!("'{text}' is not an id")))
    }

    /// `count` numbers from word `first` on, and no word after them.
    fn numbers(&self, first: usize, count: usize) -> Result<Vec<f64>, Fault> {
        if self.words.len() > first + count {
            return Err(self.fault(first + count, format!("more than {count} numbers")));
        }
        (first..first + count)
            .map(|i| {
                let missing = || self.fault(i, format!("{count} numbers are needed, here are {}", i - first));
                let text = self.words.get(i).ok_or_else(missing)?.1;
                match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => Ok(value),
                    _ => Err(self.fault(i, format!("'{text}' is not a finite number"))),
                }
            })
            .collect()
    }
}

/// Vertices and edges as they are read, before ids are resolved.
struct Reader<P, const N: usize> {
    poses: Vec<P>,
    ids: HashMap<u64, usize>,
    edges: Vec<(Edge<P, N>, Fault)>,
}

impl<P: Pose<N>, const N: usize> Reader<P, N> {
    fn new() -> Self {
        Reader { poses: vec![], ids: HashMap::new(), edges: vec![] }
    }

    fn vertex(&mut self, line: &Line) -> Result<(), Fault> {
        let id = line.id(1)?;
        if self.ids.insert(id, self.poses.len()).is_some() {
            return Err(line.fault(1, format!("vertex {id} is there already")));
        }
        let numbers = line.numbers(2, P::NUMBERS)?;
        self.poses.push(P::read(&numbers).map_err(|what| line.fault(2, what))?);
        Ok(())
    }

    /// `order[k]` is where entry k of the information's upper triangle, by rows, stands among its numbers.
    fn edge(&mut self, line: &Line, order: impl Fn(usize) -> usize) -> Result<(), Fault> {
        let (from, to) = (line.id(1)?, line.id(2)?);
        if from == to {
            return Err(line.fault(2, format!("an edge from {from} to itself")));
        }
        let numbers = line.numbers(3, P::NUMBERS + P::INFORMATION)?;
        let measured = P::read(&numbers).map_err(|what| line.fault(3, what))?;
        let mut information = [[0.0; N]; N];
        let mut k = 0;
        for i in 0..N {
            for j in i..N {
                information[i][j] = numbers[P::NUMBERS + order(k)];
                k += 1;
            }
        }
        let at_information = 3 + P::NUMBERS;
        let root = cholesky(information)
            .ok_or_else(|| line.fault(at_information, "the information matrix is not positive definite"))?;
        let unresolved = line.fault(1, "");
        // Ids for now; vertices may follow.
        self.edges.push((Edge { from: from as usize, to: to as usize, measured, root }, unresolved));
        Ok(())
    }

    fn finish(self) -> Result<Graph<P, N>, Fault> {
        let Reader { poses, ids, edges } = self;
        let edges = edges
            .into_iter()
            .map(|(edge, (line, column, _))| {
                let find = |id: usize| {
                    let missing = || (line, column, format!("an edge of vertex {id}, which does not exist"));
                    ids.get(&(id as u64)).copied().ok_or_else(missing)
                };
                Ok(Edge { from: find(edge.from)?, to: find(edge.to)?, ..edge })
            })
            .collect::<Result<_, _>>()?;
        Ok(Graph { poses, edges })
    }
}

/// Upper triangular U with UᵀU = A, from A's upper triangle.
fn cholesky<const N: usize>(a: Matrix<N>) -> Option<Matrix<N>> {
    let mut u = [[0.0; N]; N];
    for i in 0..N {
        for j in i..N {
            let rest = a[i][j] - (0..i).map(|k| u[k][i] * u[k][j]).sum::<f64>();
            u[i][j] = if i < j { rest / u[i][i] } else { rest.sqrt() };
        }
        if u[i][i] <= 0.0 || u[i][i].is_nan() {
            return None;
        }
    }
    Some(u)
}

/// Reads a graph from text; `name` is the file's, for errors.
pub fn read(name: &str, text: &str) -> Result<Contents, String> {
    parse(text).map_err(|(line, column, what)| format!("{name}:{line}:{column}: {what}"))
}

fn parse(text: &str) -> Result<Contents, Fault> {
    let (mut plane, mut space) = (Reader::<Plane, 3>::new(), Reader::<Space, 6>::new());
    let by_rows = |k| k;
    let toro = |k: usize| [0, 1, 4, 2, 5, 3][k];
    for (i, text) in text.lines().enumerate() {
        let words = text.split_whitespace().map(|word| (1 + word.as_ptr() as usize - text.as_ptr() as usize, word));
        let line = Line { number: i + 1, words: words.collect() };
        match line.words.first().map(|w| w.1) {
            None | Some("EQUIV" | "FIX") => {}
            Some(tag) if tag.starts_with('#') => {}
            Some("VERTEX_SE2" | "VERTEX2") => plane.vertex(&line)?,
            Some("VERTEX_SE3:QUAT") => space.vertex(&line)?,
            Some("EDGE_SE2") => plane.edge(&line, by_rows)?,
            Some("EDGE2") => plane.edge(&line, toro)?,
            Some("EDGE_SE3:QUAT") => space.edge(&line, by_rows)?,
            Some(tag) => return Err(line.fault(0, format!("'{tag}' is not known here"))),
        }
    }
    let end = || text.lines().count().max(1);
    match (plane.edges.is_empty(), space.edges.is_empty()) {
        (false, true) if space.poses.is_empty() => Ok(Contents::Plane(plane.finish()?)),
        (true, false) if plane.poses.is_empty() => Ok(Contents::Space(space.finish()?)),
        (true, true) => Err((end(), 1, "there is no edge".into())),
        _ => Err((end(), 1, "poses of the plane and of space in one graph".into())),
    }
}
