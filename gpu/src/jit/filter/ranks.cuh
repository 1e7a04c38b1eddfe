// Elements of a rank, found bit by bit: the largest key that no more than `rank` others are smaller than. Nothing is stored.
// The generated text before this says what V, a word in whose order elements sort, is of an element, and LAST, the key of
// what is missing, which sorts behind all others.

// What comes `rank` elements behind the first in order. MISSING: some elements may be missing, and it is none of them.
template <bool MISSING, class S>
FN V selected(const S &x, u32 points, u32 rank) {
  V least = LAST, most = 0;
  for (u32 n = 0; n < points; ++n) {
    const V key = x[n];
    least = key < least ? key : least;
    most = key > most && !(MISSING && key == LAST) ? key : most;
  }
  // All that it may be begins with the same bits.
  int bits = 0;
  while (bits < 8 * (int)sizeof(V) && (V)(least ^ most) >> bits != 0) ++bits;
  V found = bits == 8 * (int)sizeof(V) ? 0 : (V)(most >> bits << bits);
  for (int bit = bits - 1; bit >= 0; --bit) {
    const V next = found | (V)1 << bit;
    u32 below = 0;
    for (u32 n = 0; n < points; ++n) below += x[n] < next;
    if (below <= rank) found = next;
  }
  return found;
}

struct Ranked {
  u32 rank;
  template <class S>
  ME Q of(const S &x, u32 points) const { return made_of_key(selected<false>(x, points, rank)); }
};

// The median of what is not missing, of which there must be `least`.
struct Median {
  f64 least;
  template <class S>
  ME Q of(const S &x, u32 points) const {
    u32 count = 0;
    for (u32 n = 0; n < points; ++n) count += x[n] != LAST;
    if (count == 0 || (f64)count < least) return made(not_a_number());
    const f64 middle = value_of(selected<true>(x, points, count / 2));
    if (count % 2 == 1) return made(middle);
    return made((value_of(selected<true>(x, points, count / 2 - 1)) + middle) / 2);
  }
};
