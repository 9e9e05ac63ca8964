//! Pictures that other programs make: read, brought to the stream's size and colours, and shown as they come.

mod chroma;
mod convert;
mod correction;
mod fit;
mod intake;
mod rgb;
mod scale;

pub use convert::{Converter, is_native};
pub use fit::size_for;
pub use intake::{Arrived, Intake, Keep, Next, Over, Samples, Shared};
