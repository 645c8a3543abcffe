//! Where in a room there is anything to see, so that a walk through history skips the rest.

use gatehouse_store::Position;

use super::VisibilityTimeline;

/// Positions from the first through the second, both included.
pub type PositionRange = (Position, Position);

impl VisibilityTimeline {
    /// The stretches of the room outside of which the user sees nothing, oldest first, none touching another.
    ///
    /// Inside, an event may still be hidden: the place of each change of visibility or membership is included,
    /// whether or not the change itself is seen.
    pub fn visible_ranges(&self) -> Vec<PositionRange> {
        let mut boundaries: Vec<Position> = self
            .visibilities
            .iter()
            .map(|(position, _)| *position)
            .chain(self.memberships.iter().map(|(position, _)| *position))
            .collect();
        boundaries.sort_unstable();
        boundaries.dedup();

        let mut ranges = Vec::new();
        let mut start = Position::ZERO;
        for boundary in boundaries {
            if start < boundary {
                self.extend_if_visible(&mut ranges, (start, boundary.previous()));
            }
            extend(&mut ranges, (boundary, boundary));
            start = boundary.next();
        }
        self.extend_if_visible(&mut ranges, (start, Position::MAX));
        ranges
    }

    /// Nothing changes within the stretch, so its first place answers for all.
    fn extend_if_visible(&self, ranges: &mut Vec<PositionRange>, range: PositionRange) {
        if self.allows(self.visibility_at(range.0), range.0) {
            extend(ranges, range);
        }
    }
}

fn extend(ranges: &mut Vec<PositionRange>, range: PositionRange) {
    match ranges.last_mut() {
        Some(last) if last.1.next() == range.0 => last.1 = range.1,
        _ => ranges.push(range),
    }
}
