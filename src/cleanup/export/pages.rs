//! Which stretch of the archive's numbers is fetched next. Pure.

/// Rows that are fetched at once, at most, and before it is known how long they are.
const MOST: usize = 2_000;
const FIRST: usize = 100;
/// What is fetched at once, about; one row comes in any case.
pub(super) const BYTES: usize = 8 << 20;

/// A file's rows, page after page.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    after: i64,
    last: i64,
    /// Rows, at most.
    size: usize,
    /// Numbers that are looked at for them.
    stretch: i64,
}

/// A page to be fetched: rows with numbers behind `after` up to `up_to`, `size` of them at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) after: i64,
    pub(super) up_to: i64,
    pub(super) size: usize,
}

/// What came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// The last row's number, where more rows of the stretch follow.
    pub(super) cut_at: Option<i64>,
}

impl Pages {
    /// Of rows with these numbers.
    pub(super) fn of([first, last]: [i64; 2]) -> Self {
        Self { after: first.saturating_sub(1), last, size: FIRST, stretch: wide(FIRST) }
    }

    /// The next one; none behind the last number.
    pub(super) fn next(&self) -> Option<Page> {
        let up_to = self.after.saturating_add(self.stretch).min(self.last);
        (self.after < self.last).then_some(Page { after: self.after, up_to, size: self.size })
    }

    /// Goes on behind what came. Where few rows of a stretch are the file's, the next one is longer.
    pub(super) fn learn(&mut self, page: Page, came: Came) {
        self.after = came.cut_at.unwrap_or(page.up_to);
        let size = match came.bytes.checked_div(came.rows) {
            Some(each) => (BYTES / each.max(1)).clamp(1, MOST),
            None => self.size,
        };
        if came.cut_at.is_some() {
            self.stretch /= 2;
        } else if came.rows < page.size / 2 {
            self.stretch = self.stretch.saturating_mul(2);
        }
        self.size = size;
        self.stretch = self.stretch.max(wide(size));
    }
}

fn wide(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fetches all of `ids` as the server would: the rows, and in how many pages.
    fn fetched(ids: &[i64], each: usize) -> (Vec<i64>, usize) {
        let mut pages = Pages::of([ids[0], ids[ids.len() - 1]]);
        let (mut all, mut count) = (Vec::new(), 0);
        while let Some(page) = pages.next() {
            let of = |id: &&i64| **id > page.after && **id <= page.up_to;
            let stretch: Vec<i64> = ids.iter().filter(of).copied().collect();
            let most = page.size.min((BYTES / each).max(1));
            let rows = &stretch[..stretch.len().min(most)];
            let cut_at = (rows.len() < stretch.len() || rows.len() == page.size)
                .then(|| rows.last().copied())
                .flatten();
            pages.learn(page, Came { rows: rows.len(), bytes: rows.len() * each, cut_at });
            all.extend(rows);
            count += 1;
        }
        (all, count)
    }

    #[test]
    fn every_row_comes_once() {
        let dense: Vec<i64> = (1..=20_000).collect();
        let sparse: Vec<i64> = (1..=20_000).map(|n| n * 97).collect();
        let torn: Vec<i64> = (1..=5_000).chain((1 << 60)..(1 << 60) + 5_000).collect();
        for ids in [dense, sparse, torn, vec![7], vec![i64::MAX - 1, i64::MAX]] {
            for each in [1, 300, 100_000, BYTES * 2] {
                assert_eq!(fetched(&ids, each).0, ids);
            }
        }
    }

    #[test]
    fn pages_are_as_full_as_they_may_be() {
        let dense: Vec<i64> = (1..=20_000).collect();
        let sparse: Vec<i64> = (1..=20_000).map(|n| n * 97).collect();
        assert!(fetched(&dense, 300).1 <= 12, "{}", fetched(&dense, 300).1);
        assert!(fetched(&sparse, 300).1 <= 40, "{}", fetched(&sparse, 300).1);
    }
}
