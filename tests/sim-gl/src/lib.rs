//! A test-only `libEGL.so.1`, with a GL that draws nothing and answers at once.
//!
//! A thread's CPU time in this GL and in the other simulated drivers, with `MB_SIM_ENCODE=null`, is next to nothing. So
//! what a picture costs there is what the code costs that calls them, and nothing has to be taken off for drivers.
//!
//! It answers what a program asks while it sets itself up: one display, one context, whatever is compiled works, and a
//! texture has the size that it was given. It never refuses a call, and no pixel exists: whether calls are right is for
//! Mesa and for the other simulated drivers to say.

mod egl;
mod gl;
