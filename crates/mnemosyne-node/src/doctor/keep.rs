//! Which files of a damaged history can stay. Its files follow each other without a hole, and only what the log still
//! tells can be written again.

use mnemosyne_persistence::SegmentHealth;

/// The files that have to go aside, so that the others are a history again; by position. `told_from` is the first
/// event that the log tells, after which it tells all. What may go on behind a gap need not be told to stay.
pub(super) fn aside(segments: &[SegmentHealth], told_from: u64, may_have_gaps: bool) -> Vec<usize> {
    let last = segments.len();
    let end = usable_end(segments);
    if end == 0 {
        return Vec::new();
    }
    let start = usable_start(segments);
    // The log tells a part of what is not usable, and everything behind that.
    let tells_of_damaged = segments.get(end).is_none_or(|kept| told_from < kept.first_seq);
    // What comes behind the last usable one is written again, if the log tells all of it.
    if let Some(newest) = start.checked_sub(1).and_then(|newest| segments.get(newest))
        && !newest.is_compacted
        && (told_from <= newest.next_seq || may_have_gaps && tells_of_damaged)
    {
        return (start..last).collect();
    }
    (0..if tells_of_damaged { last } else { end }).collect()
}

/// Position of the oldest file from which on all are usable; 0 when all are.
fn usable_end(segments: &[SegmentHealth]) -> usize {
    let mut oldest = segments.len();
    while let Some(position) = oldest.checked_sub(1) {
        let segment = &segments[position];
        let is_last = position + 1 == segments.len();
        let is_linked = segments.get(position + 1).is_none_or(|next| next.previous == Some(segment.first_seq));
        if segment.damage.is_some() || !is_linked || is_last && segment.is_compacted {
            break;
        }
        oldest = position;
        // What is before it does not belong to it, and is tidied up by whoever opens it.
        if segment.previous.is_none() {
            return 0;
        }
    }
    oldest
}

/// How many of the oldest files are usable one after the other.
fn usable_start(segments: &[SegmentHealth]) -> usize {
    let mut count = 0;
    for (position, segment) in segments.iter().enumerate() {
        let before = position.checked_sub(1).map(|before| segments[before].first_seq);
        if segment.damage.is_some() || before.is_some() && segment.previous != before {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use mnemosyne_persistence::StoreError;

    /// Files of ten events each.
    fn files(count: u64) -> Vec<SegmentHealth> {
        let file = |number: u64| SegmentHealth {
            file: number.to_string(),
            index_file: number.to_string(),
            first_seq: number * 10 + 1,
            previous: number.checked_sub(1).map(|before| before * 10 + 1),
            next_seq: number * 10 + 11,
            is_compacted: false,
            has_index: true,
            damage: None,
        };
        (0..count).map(file).collect()
    }

    fn damaged(mut files: Vec<SegmentHealth>, position: usize) -> Vec<SegmentHealth> {
        let what = String::new();
        files[position].damage = Some(StoreError::Damaged { file: String::new(), offset: 0, what });
        files
    }

    /// Of a history, which has no gaps.
    fn aside(segments: &[SegmentHealth], told_from: Option<u64>) -> Vec<usize> {
        super::aside(segments, told_from.unwrap_or(u64::MAX), false)
    }

    #[test]
    fn whole_files_stay() {
        assert_eq!(aside(&files(0), None), [0; 0]);
        assert_eq!(aside(&files(3), None), [0; 0]);
        assert_eq!(aside(&files(3)[1..], None), [0; 0], "the oldest were let go of");
    }

    #[test]
    fn what_the_log_tells_again_may_go_and_all_before_it_stays() {
        assert_eq!(aside(&damaged(files(4), 2), Some(21)), [2, 3]);
        assert_eq!(aside(&damaged(files(4), 3), Some(5)), [3]);
        assert_eq!(aside(&damaged(files(4), 3), Some(31)), [3]);
    }

    #[test]
    fn what_the_log_does_not_tell_any_more_goes_with_all_before_it() {
        assert_eq!(aside(&damaged(files(4), 1), Some(22)), [0, 1]);
        assert_eq!(aside(&damaged(files(4), 1), None), [0, 1]);
        assert_eq!(aside(&damaged(files(4), 3), Some(32)), [0, 1, 2, 3], "nothing may be missing in between");
    }

    #[test]
    fn what_the_log_tells_of_a_damaged_file_is_written_again_with_all_behind_it() {
        assert_eq!(aside(&damaged(files(4), 1), Some(15)), [0, 1, 2, 3]);
        assert_eq!(aside(&damaged(files(4), 1), Some(20)), [0, 1, 2, 3]);
        assert_eq!(aside(&damaged(files(4), 1), Some(21)), [0, 1], "it tells nothing of it");
        assert_eq!(super::aside(&damaged(files(4), 1), 15, true), [1, 2, 3], "behind a gap");
    }

    #[test]
    fn where_gaps_may_be_what_is_before_the_damaged_end_stays() {
        assert_eq!(super::aside(&damaged(files(4), 3), u64::MAX, true), [3]);
        assert_eq!(super::aside(&damaged(files(4), 1), u64::MAX, true), [0, 1], "no gap is made in the middle");
    }

    #[test]
    fn a_file_that_is_gone_leaves_what_is_behind_it() {
        let mut files = files(4);
        files.remove(1);
        assert_eq!(aside(&files, None), [0]);
        assert_eq!(aside(&files, Some(11)), [1, 2]);
    }

    #[test]
    fn nothing_can_follow_a_compacted_file_but_its_successor() {
        let mut files = damaged(files(3), 2);
        files[1].is_compacted = true;
        assert_eq!(aside(&files, Some(21)), [0, 1, 2]);
        let mut alone = files;
        alone.truncate(2);
        assert_eq!(aside(&alone, Some(21)), [0, 1]);
    }

    #[test]
    fn what_was_before_a_new_beginning_does_not_matter() {
        let mut files = damaged(files(3), 0);
        files[1].previous = None;
        assert_eq!(aside(&files, None), [0; 0]);
    }
}
