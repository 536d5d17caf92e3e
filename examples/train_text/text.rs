//! Characters to learn from: texts of this repository, or a file.

use std::collections::BTreeMap;
use std::path::Path;

/// What is learned without a file.
const TEXTS: [&str; 7] = [
    include_str!("../../README.md"),
    include_str!("../../CHANGELOG.md"),
    include_str!("../../CONTRIBUTING.md"),
    include_str!("../../src/choosing.md"),
    include_str!("../../src/scaling.md"),
    include_str!("../../src/distributed.md"),
    include_str!("../../src/proximity.md"),
];
/// What occurs less often is one character, the replacement character.
const RARE: usize = 10;
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;
/// One in so many sequences is held out.
const HELD_OUT: usize = 10;

/// A text, and where its sequences begin.
pub struct Text {
    /// The different characters, in their order.
    pub alphabet: Vec<char>,
    /// The text as numbers of these.
    pub characters: Vec<usize>,
    /// Characters of a sequence. Each has one more behind it, the last to be predicted.
    places: usize,
    pub learned: Vec<usize>,
    pub held_out: Vec<usize>,
}

impl Text {
    /// The built-in text, or the file's.
    pub fn read(file: Option<&Path>, places: usize) -> Result<Self, String> {
        match file {
            None => Text::new(&TEXTS.concat(), places),
            Some(path) => {
                let say = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
                let text = std::fs::read_to_string(path).map_err(|e| say(&e))?;
                Text::new(&text, places).map_err(|e| say(&e))
            }
        }
    }

    /// Cuts a text into sequences.
    pub fn new(text: &str, places: usize) -> Result<Self, String> {
        let mut counts: BTreeMap<char, usize> = BTreeMap::new();
        text.chars().for_each(|c| *counts.entry(c).or_default() += 1);
        let common = |c: char| counts[&c] >= RARE;
        let mut alphabet: Vec<char> = counts.keys().copied().filter(|&c| common(c) && c != REPLACEMENT).collect();
        if alphabet.len() < counts.len() {
            alphabet.push(REPLACEMENT);
        }
        let other = alphabet.len().saturating_sub(1);
        let number = |c: char| alphabet.iter().position(|&a| a == c).unwrap_or(other);
        let numbers: BTreeMap<char, usize> = counts.keys().map(|&c| (c, number(c))).collect();
        let characters: Vec<usize> = text.chars().map(|c| numbers[&c]).collect();
        let count = characters.len().saturating_sub(1) / places;
        if count < HELD_OUT {
            return Err(format!("{} characters, but {} are needed", characters.len(), HELD_OUT * places + 1));
        }
        let starts = |held_out: bool| {
            let chosen = (0..count).filter(|i| (i % HELD_OUT == HELD_OUT - 1) == held_out);
            chosen.map(|i| i * places).collect()
        };
        let (learned, held_out) = (starts(false), starts(true));
        Ok(Text { alphabet, characters, places, learned, held_out })
    }

    /// What is to be predicted at each place of these sequences.
    pub fn labels(&self, starts: &[usize]) -> Vec<usize> {
        starts.iter().flat_map(|&start| &self.characters[start + 1..][..self.places]).copied().collect()
    }

    /// The characters of these numbers; the replacement character for rare ones.
    pub fn write(&self, numbers: &[usize]) -> String {
        numbers.iter().map(|&number| self.alphabet[number]).collect()
    }
}
