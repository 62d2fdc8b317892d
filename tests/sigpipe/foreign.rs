//! Threads that a library starts, and panics in functions that C calls. Neither is under a guard
//! unless the scene begins one.

use std::ffi::{c_int, c_void};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::thread;

use epipe::sigpipe::{self, guard, suppressed};

use crate::Scene;
use crate::guards::{GOES_BACK, MASKS_THE_THREAD, assert_restored};
use crate::support::{broken_pipe, close_the_reader_of, foreign_write, spell};

/// A library with its own thread, as C libraries have. The thread writes to a vanished peer on each
/// request.
struct Library {
    ask: PipeWriter,
    answers: PipeReader,
}

/// The ends that the library's thread holds.
struct Ends {
    asked: PipeReader,
    answer: PipeWriter,
    broken: OwnedFd,
}

impl Library {
    fn start() -> Library {
        let (asked, ask) = pipe().unwrap();
        let (answers, answer) = pipe().unwrap();
        let ends = Box::new(Ends { asked, answer, broken: broken_pipe() });
        let mut thread = 0 as libc::pthread_t;
        let ends = Box::into_raw(ends).cast();
        // SAFETY: the thread takes over the ends.
        let made = unsafe { libc::pthread_create(&mut thread, std::ptr::null(), write, ends) };
        assert_eq!(made, 0);
        Library { ask, answers }
    }

    /// Lets the thread write, and waits for its answer.
    fn call(&mut self) {
        self.ask.write_all(b"?").unwrap();
        let mut answer = [0; 5];
        self.answers.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"EPIPE");
    }
}

extern "C" fn write(ends: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes ownership.
    let mut ends = unsafe { Box::from_raw(ends.cast::<Ends>()) };
    while ends.asked.read_exact(&mut [0]).is_ok() {
        let answer = spell(&foreign_write(&ends.broken, b"x"));
        let _ = ends.answer.write_all(answer.as_bytes());
    }
    std::ptr::null_mut()
}

fn threads() -> Vec<Scene> {
    let started = "a library's thread, started inside suppressed";
    let later = "a library's thread, suppressed round each later call";
    let guarded = "a library's thread, while a guard lives";
    let calls = |mut library: Library| (0..3).for_each(|_| library.call());
    vec![
        Scene::survives(started, move || calls(suppressed(Library::start).unwrap()))
            .only_where(MASKS_THE_THREAD || !GOES_BACK, "the handler goes with the guard"),
        Scene::dies(format!("{started}: control"), move || calls(Library::start())),
        Scene::dies(format!("{started}: the handler goes with the guard"), move || {
            calls(suppressed(Library::start).unwrap());
        })
        .only_where(!MASKS_THE_THREAD && GOES_BACK, "the mask is inherited, or the handler stays"),
        Scene::survives(guarded, move || {
            let _guard = guard().unwrap();
            calls(Library::start());
        }),
        Scene::dies(format!("{later}: it kills"), move || {
            let mut library = Library::start();
            suppressed(|| library.call()).unwrap();
        })
        .only_where(MASKS_THE_THREAD, "the guard is the process's"),
        Scene::survives(later, move || {
            let mut library = Library::start();
            suppressed(|| library.call()).unwrap();
        })
        .only_where(!MASKS_THE_THREAD, "the guard is its thread's"),
    ]
}

/// A function that C calls: it returns -1 for a panic.
extern "C" fn entry(on_a_thread: bool) -> c_int {
    sigpipe::catch_unwind(|| panics(on_a_thread)).unwrap().map_or(-1, |()| 0)
}

/// The same with std's `catch_unwind`.
extern "C" fn bare_entry(on_a_thread: bool) -> c_int {
    std::panic::catch_unwind(|| panics(on_a_thread)).map_or(-1, |()| 0)
}

fn panics(on_a_thread: bool) {
    if on_a_thread {
        thread::spawn(|| panic!("as planned")).join().unwrap();
    }
    panic!("as planned");
}

fn entries() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for (name, on_a_thread) in [
        ("catch_unwind, stderr broken: a panic", false),
        ("catch_unwind, stderr broken: a thread that panics", true),
    ] {
        scenes.push(Scene::survives(name, move || {
            close_the_reader_of(2);
            assert_eq!(entry(on_a_thread), -1);
            assert_restored();
        }));
        scenes.push(Scene::dies(format!("{name}: control"), move || {
            close_the_reader_of(2);
            bare_entry(on_a_thread);
        }));
    }
    scenes.push(Scene::survives("catch_unwind: what returns", || {
        assert_eq!(sigpipe::catch_unwind(|| 7).unwrap().unwrap(), 7);
        assert_restored();
    }));
    scenes
}

pub fn scenes() -> Vec<Scene> {
    threads().into_iter().chain(entries()).collect()
}
