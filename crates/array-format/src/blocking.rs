//! Without `async`: a thin shell that waits for the futures of the rest of the crate.
//!
//! Local files, memory, and stores that are named by URL need no runtime: their futures wait for the disk, or for threads of this crate's own. An
//! `ObjectStore` of one's own that needs a runtime needs it here too; call [`wait`] from a thread that has entered it
//! (`tokio::runtime::Handle::enter`), never from a task of it.
//!
//! ```
//! use array_format::{ArrayFile, FileConfig, blocking::wait};
//! use ndarray::array;
//!
//! # fn main() -> array_format::Result<()> {
//! let mut file = wait(ArrayFile::create_memory(FileConfig::default()))?;
//! file.define_array::<i32>("x", vec!["n".into()], vec![3], None, None)?;
//! wait(file.write_array("x", vec![0], array![1, 2, 3].into_dyn().view()))?;
//! assert_eq!(wait(file.flush())?, 1);
//! assert_eq!(wait(file.read_array::<i32>("x", vec![], vec![]))?.sum(), 6);
//! # Ok(())
//! # }
//! ```

use std::future::Future;

/// Runs a future of this crate to its end on the calling thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}
