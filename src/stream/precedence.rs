//! The encoder's thread before what draws, where both want the same cores.
//!
//! Pictures that are not held to real time are drawn on all cores and encoded on one. Where it is the encoder that the
//! others wait for, each moment in which it has no core is lost; so what draws on the processor steps back. Where the
//! drawing is what takes long, nothing does: there the encoder waits anyway, and nicer threads would only lose to other
//! processes. It never steps back for a stream in real time, where drawing that is held up is delay; but one that runs beside
//! an unpaced stream in the same process may be drawn by the same threads.

use crate::os::threads::Background;

/// How many more pictures have waited for the encoder than have not, when what draws takes a step back.
const BEHIND: u32 = 8;

/// Watches who waits for whom.
#[derive(Debug, Default)]
pub struct Precedence {
    /// What draws on the processor, if it is to step back at all.
    drawing: Option<Background>,
    behind: u32,
}

impl Precedence {
    /// Of the encoder over threads with names that begin so.
    pub fn over(names: Option<&str>) -> Self {
        Self { drawing: names.map(Background::named), behind: 0 }
    }

    /// A picture was drawn, and had to wait for the encoder or had not.
    pub fn drew(&mut self, has_waited: bool) {
        if self.is_behind(has_waited) {
            self.drawing.iter_mut().for_each(Background::step_back);
        }
    }

    fn is_behind(&mut self, has_waited: bool) -> bool {
        self.behind = if has_waited { self.behind + 1 } else { self.behind.saturating_sub(1) };
        let is_behind = self.behind == BEHIND;
        if is_behind {
            self.behind = 0;
        }
        is_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_steps_back_where_most_pictures_wait_for_the_encoder() {
        let steps = |waited: &mut dyn Iterator<Item = bool>| {
            let mut precedence = Precedence::default();
            waited.filter(|&has_waited| precedence.is_behind(has_waited)).count()
        };
        assert_eq!(steps(&mut std::iter::repeat_n(true, 80)), 10, "all of them");
        assert_eq!(steps(&mut std::iter::repeat_n([true, false], 400).flatten()), 0, "as many as not");
        assert_eq!(steps(&mut std::iter::repeat_n([true, true, false], 24).flatten()), 3, "two of three");
        let seldom = [true, true, true, true, true, true, true, false, false, false, false, false, false, false];
        assert_eq!(steps(&mut std::iter::repeat_n(seldom, 400).flatten()), 0, "those behind a large one");
    }
}
