//! The allocator of the component. What is allocated during a call lives as long as the call, so it is laid end to end into one
//! small block that is taken back as a whole: no search for room, and only a page or two of memory are touched, which the host
//! has to put back after each trace. It knows nothing of what is allocated. Unsafe, since allocators are.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// The size of the block, in bytes: what an ordinary trace and its verdict take many times over. What does not fit is allocated
/// as usual.
const SIZE: usize = 64 << 10;

/// The block, and how far it is filled.
pub struct Arena {
    block: UnsafeCell<[u8; SIZE]>,
    /// Whether allocations go here: from the end of `configure` on. What that leaves is to last.
    open: Cell<bool>,
    next: Cell<usize>,
    /// How many allocations live here. At none the block is empty again; something that outlives a call keeps it from that, and
    /// when it is full all is allocated as usual.
    live: Cell<usize>,
}

// SAFETY: a component has one thread.
unsafe impl Sync for Arena {}

impl Arena {
    /// An empty block that is not used yet.
    pub const fn new() -> Self {
        Self { block: UnsafeCell::new([0; SIZE]), open: Cell::new(false), next: Cell::new(0), live: Cell::new(0) }
    }

    /// From now on allocations go here.
    pub fn open(&self) {
        self.open.set(true);
    }

    fn start(&self) -> usize {
        self.block.get().addr()
    }

    fn holds(&self, pointer: *mut u8) -> bool {
        pointer.addr().wrapping_sub(self.start()) < SIZE
    }

    /// A place behind what is there, if it fits.
    fn place(&self, layout: Layout) -> Option<*mut u8> {
        let unaligned = self.start() + self.next.get();
        let begin = unaligned.next_multiple_of(layout.align()) - self.start();
        let end = begin.checked_add(layout.size()).filter(|end| *end <= SIZE && self.open.get())?;
        self.next.set(end);
        self.live.set(self.live.get() + 1);
        // SAFETY: `begin` is within the block, or just behind it for a size of zero.
        Some(unsafe { self.block.get().cast::<u8>().add(begin) })
    }
}

// SAFETY: places do not overlap while anything in them lives, and are as large and as aligned as asked for; what is not ours is
// the system's, on both ways.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        self.place(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if !self.holds(pointer) {
            // SAFETY: what is not in the block came from the system, with this layout.
            return unsafe { System.dealloc(pointer, layout) };
        }
        self.live.set(self.live.get() - 1);
        if self.live.get() == 0 {
            self.next.set(0);
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.holds(pointer) {
            // SAFETY: what is not in the block came from the system, with this layout.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: the caller promises that the new size makes a layout.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are live and apart, and as long as what is copied.
            unsafe {
                std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allocates, writes all of it, and gives the pointer.
    fn filled(arena: &Arena, size: usize, align: usize) -> (*mut u8, Layout) {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not zero, and all of it is ours.
        let pointer = unsafe { arena.alloc(layout) };
        assert!(!pointer.is_null() && pointer.addr().is_multiple_of(align));
        // SAFETY: as above.
        unsafe { pointer.write_bytes(7, size) };
        (pointer, layout)
    }

    fn freed(arena: &Arena, (pointer, layout): (*mut u8, Layout)) {
        // SAFETY: allocated by `filled`, with this layout.
        unsafe { arena.dealloc(pointer, layout) };
    }

    #[test]
    fn it_is_used_once_it_is_open_and_empty_when_nothing_lives() {
        let arena = Arena::new();
        let before = filled(&arena, 100, 8);
        assert!(!arena.holds(before.0));
        arena.open();
        let (a, b) = (filled(&arena, 3, 1), filled(&arena, 64, 16));
        assert!(arena.holds(a.0) && arena.holds(b.0));
        freed(&arena, before);
        freed(&arena, a);
        assert!(arena.next.get() > 0, "something lives");
        freed(&arena, b);
        assert_eq!((arena.next.get(), arena.live.get()), (0, 0));
    }

    #[test]
    fn what_does_not_fit_is_the_systems() {
        let arena = Arena::new();
        arena.open();
        let (small, large) = (filled(&arena, SIZE - 10, 1), filled(&arena, 11, 1));
        assert!(arena.holds(small.0) && !arena.holds(large.0));
        freed(&arena, large);
        freed(&arena, small);
    }

    #[test]
    fn what_grows_keeps_its_bytes() {
        let arena = Arena::new();
        arena.open();
        let (pointer, layout) = filled(&arena, 10, 4);
        // SAFETY: live, with this layout; the new size is as large as what is read.
        let bytes = unsafe {
            let grown = arena.realloc(pointer, layout, SIZE * 2);
            let bytes = std::slice::from_raw_parts(grown, 10).to_vec();
            arena.dealloc(grown, Layout::from_size_align(SIZE * 2, 4).unwrap());
            bytes
        };
        assert_eq!((bytes, arena.live.get()), (vec![7; 10], 0));
    }
}
