//! A vector in shared pages: cheap to clone for a snapshot, copied page by
//! page only where it is written afterwards.

use std::sync::Arc;

/// Elements in one page. Small enough that copying one is quick, large enough
/// that a clone of a million elements copies only some thousand pointers.
const PAGE: usize = 128;

/// A vector whose clone shares all pages with the original.
#[derive(Clone, Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Arc<Vec<T>>>,
    length: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), length: 0 }
    }
}

impl<T: Clone> Pages<T> {
    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The element at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    /// The element at `index`, for writing; copies its page when that is shared.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        Arc::make_mut(self.pages.get_mut(index / PAGE)?).get_mut(index % PAGE)
    }

    /// Adds an element at the end.
    pub(crate) fn push(&mut self, element: T) {
        if self.length.is_multiple_of(PAGE) {
            self.pages.push(Arc::new(Vec::new()));
        }
        let page = self.pages.last_mut().expect("a page was pushed if there was none");
        Arc::make_mut(page).push(element);
        self.length += 1;
    }

    /// All elements in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter())
    }
}

impl<T: Clone> FromIterator<T> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut pages = Vec::new();
        let mut length = 0;
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            let page: Vec<T> = elements.by_ref().take(PAGE).collect();
            length += page.len();
            pages.push(Arc::new(page));
        }
        Self { pages, length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut pages: Pages<usize> = (0..1_000).collect();
        let before = pages.clone();
        *pages.get_mut(500).expect("it is there") = 7;
        pages.push(1_000);
        assert_eq!(before.iter().copied().collect::<Vec<_>>(), (0..1_000).collect::<Vec<_>>());
        assert_eq!(pages.get(500), Some(&7));
        assert_eq!((pages.len(), before.len()), (1_001, 1_000));
        assert_eq!(pages.get(1_001), None);
    }

    #[test]
    fn only_the_written_page_is_copied() {
        let mut pages: Pages<usize> = (0..10 * PAGE).collect();
        let before = pages.clone();
        *pages.get_mut(0).expect("it is there") = 7;
        let shared = pages.pages.iter().zip(&before.pages).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, 9);
    }
}
