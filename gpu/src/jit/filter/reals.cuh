// What the points of a window become, of doubles.

struct Weighted {
  const f64 *weights;
  template <class S>
  ME Q of(const S &x, u32 points) const {
    f64 sum = 0;
    for (u32 n = 0; n < points; ++n) sum += x[n] * weights[n];
    return made(sum);
  }
};

// A number less than `count` from `least` on that differs from the whole part of x by a multiple of `count`; 0: any.
FN f64 wrapped(f64 x, f64 least, f64 count) {
  if (count == 0) return x;
  const f64 whole = trunc(x);
  return whole - count * floor((whole - least) / count);
}

// The smallest or largest, each with its height: as in SciPy the first is a double then, the others are of the dtype.
template <bool SMALLEST, bool HEIGHTS>
struct Extreme {
  const f64 *heights;
  f64 least, count;
  template <class S>
  ME Q of(const S &x, u32 points) const {
    f64 found = SMALLEST ? infinity() : -infinity();
    for (u32 n = 0; n < points; ++n) {
      f64 value = x[n];
      if (HEIGHTS) value = wrapped(value + heights[n], least, n == 0 ? 0 : count);
      if (SMALLEST ? value < found : value > found) found = value;
    }
    return made(found);
  }
};

template <bool ALL>
struct Truths {
  template <class S>
  ME Q of(const S &x, u32 points) const {
    bool found = ALL;
    for (u32 n = 0; n < points; ++n) {
      const bool own = x[n] != 0;
      found = ALL ? found & own : found | own;
    }
    return made((f64)found);
  }
};

enum Of { COUNT, SUM, MEAN, SMALLEST, LARGEST, DEVIATION };

// What is not NaN, of which there must be `least`.
template <Of OF>
struct Rolling {
  f64 least, less;
  template <class S>
  ME Q of(const S &x, u32 points) const {
    f64 count = 0, found = OF == SMALLEST ? infinity() : OF == LARGEST ? -infinity() : 0;
    for (u32 n = 0; n < points; ++n) {
      const f64 value = x[n];
      if (value != value) continue;
      count += 1;
      if (OF == SMALLEST) found = value < found ? value : found;
      else if (OF == LARGEST) found = value > found ? value : found;
      else if (OF != COUNT) found += value;
    }
    if (OF == COUNT) found = count;
    if (OF == MEAN || OF == DEVIATION) found /= count;
    if (OF == DEVIATION) {
      f64 squares = 0;
      for (u32 n = 0; n < points; ++n) {
        const f64 value = x[n], away = value - found;
        squares += value != value ? 0 : away * away;
      }
      const f64 divisor = count - less;
      found = divisor > 0 ? sqrt(squares / divisor) : not_a_number();
    }
    return made(count < least ? not_a_number() : found);
  }
};
