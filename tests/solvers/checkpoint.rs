//! A process that is killed while it saves leaves the old file or the new one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use newton_krylov::checkpoint::{self, CheckpointError};

/// Where the process that will be killed is told its path.
const PATH: &str = "NEWTON_KRYLOV_CHECKPOINT_UNDER_TEST";
const KIND: &str = "a count and many copies of it";
const COPIES: usize = 300_000;

/// Saves one state after the other, as fast as it can.
#[test]
#[ignore = "the process that the test below kills"]
fn save_without_end() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else { return };
    let first = checkpoint::load::<(u64, Vec<f32>)>(&path, KIND).map_or(0, |(count, _)| count);
    for count in first + 1.. {
        checkpoint::save(&path, KIND, &(count, vec![count as f32; COPIES])).unwrap();
    }
}

fn load(path: &Path) -> u64 {
    let (count, copies): (u64, Vec<f32>) = checkpoint::load(path, KIND).unwrap();
    assert_eq!(copies.len(), COPIES);
    assert!(copies.iter().all(|&copy| copy == count as f32));
    count
}

#[test]
fn a_killed_process_leaves_the_old_file_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    checkpoint::save(&path, KIND, &(0_u64, vec![0.0_f32; COPIES])).unwrap();
    let mut last = 0;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "checkpoint::save_without_end", "--ignored"])
            .env(PATH, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It must have saved something, and is then killed at some moment of its next save.
        let started = Instant::now();
        while load(&path) == last {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing is saved");
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_micros(777 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let count = load(&path);
        assert!(count > last);
        last = count;
    }
    // What was left of the killed save is overwritten by the next.
    checkpoint::save(&path, KIND, &(1_u64, vec![1.0_f32; COPIES])).unwrap();
    assert_eq!(load(&path), 1);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["state"]);
}

#[test]
fn a_folder_that_is_not_there_is_an_error_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("state");
    assert!(matches!(checkpoint::save(&path, KIND, &1), Err(CheckpointError::Io { .. })));
    // The destination is a folder: the old one stays, and so does its content.
    let path = folder.path().join("taken");
    std::fs::create_dir_all(path.join("inside")).unwrap();
    assert!(matches!(checkpoint::save(&path, KIND, &1), Err(CheckpointError::Io { .. })));
    assert!(path.join("inside").is_dir());
}
