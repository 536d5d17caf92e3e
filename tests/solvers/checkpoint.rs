//! A save replaces a file, or leaves all as it was: when its process is killed, when there is no room, and when something
//! else is in the way.

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
    assert_eq!(names(folder.path()), ["state"]);
}

/// What is in a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The words of the error of a save, which must be one of the system's.
fn refused(path: &Path) -> String {
    let error = checkpoint::save(path, KIND, &1).unwrap_err();
    assert!(matches!(&error, CheckpointError::Io { .. }), "{error}");
    error.to_string()
}

#[test]
fn what_cannot_be_replaced_stays_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    refused(&folder.path().join("missing").join("state"));
    let path = folder.path().join("taken");
    std::fs::create_dir_all(path.join("inside")).unwrap();
    assert!(refused(&path).contains("taken: is a folder"));
    assert!(path.join("inside").is_dir());
    assert_eq!(names(folder.path()), ["taken"]);
    // Here the file cannot be renamed after it was written.
    refused(Path::new(""));
    assert!(!Path::new(".partial").exists());
}

#[test]
fn what_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let error = checkpoint::load::<u8>(folder.path(), KIND).unwrap_err();
    assert!(matches!(error, CheckpointError::Foreign { .. }), "{error}");
    #[cfg(unix)]
    assert!(matches!(checkpoint::load::<u8>("/dev/zero", KIND), Err(CheckpointError::Foreign { .. })));
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn links_and_sockets_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, loose, socket] = ["file", "link", "loose", "socket"].map(|name| folder.path().join(name));
        fs::write(&file, "precious").unwrap();
        symlink(&file, &link).unwrap();
        symlink(folder.path().join("nowhere"), &loose).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(refused(&link).contains("is a link"));
        assert!(refused(&loose).contains("is a link"));
        assert!(refused(&socket).contains("socket"));
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        assert!(link.is_symlink() && loose.is_symlink() && fs::metadata(&socket).unwrap().file_type().is_socket());
        assert_eq!(names(folder.path()), ["file", "link", "loose", "socket"]);
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [victim, path, planted] = ["victim", "state", "state.partial"].map(|name| folder.path().join(name));
        fs::write(&victim, "precious").unwrap();
        for plant in [|from: &Path, to: &Path| symlink(from, to), |from: &Path, to: &Path| fs::hard_link(from, to)] {
            plant(&victim, &planted).unwrap();
            checkpoint::save(&path, KIND, &7).unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            assert_eq!(checkpoint::load::<i32>(&path, KIND).unwrap(), 7);
            assert_eq!(names(folder.path()), ["state", "victim"]);
        }
        // A folder of that name is nothing that a save has left.
        fs::create_dir(&planted).unwrap();
        assert!(refused(&path).contains("state.partial"));
        assert_eq!(checkpoint::load::<i32>(&path, KIND).unwrap(), 7);
    }

    #[test]
    fn permissions_stay_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        for mode in [0o600, 0o640, 0o664, 0o400] {
            checkpoint::save(&path, KIND, &1).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            checkpoint::save(&path, KIND, &2).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{mode:o}");
        }
    }

    /// The process that may write no more than a kibibyte.
    #[test]
    #[ignore = "the process that the test below starts"]
    fn save_without_room() {
        let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else { return };
        assert!(matches!(checkpoint::save(path, KIND, &vec![1.0_f32; COPIES]), Err(CheckpointError::Io { .. })));
    }

    #[test]
    fn a_file_for_which_there_is_no_room_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        checkpoint::save(&path, KIND, &7).unwrap();
        let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact checkpoint::unix::save_without_room --ignored";
        let status = Command::new("sh")
            .args(["-c", limited])
            .arg(std::env::current_exe().unwrap())
            .env(PATH, &path)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(checkpoint::load::<i32>(&path, KIND).unwrap(), 7);
        assert_eq!(names(folder.path()), ["state"]);
    }
}
