// States of reductions, cell by cell: empty, one more element, two states together, and how they lie in memory, which is
// as the CPU's states lie (kernels/src/reduce), so that states of either combine. Floats add in float64: those of
// float64 with what rounding left of them. Plain data without constructors: states stand in shared memory.
#ifndef BLOCKWISE_STATES
#define BLOCKWISE_STATES
#define ME __device__ __forceinline__

// A double.
struct Plain {
  f64 high;
  static constexpr int columns = 1;
  static ME Plain of(f64 high, f64) { return Plain{high}; }
  static ME Plain distance(f64 a, f64 b) { return Plain{a - b}; }
  ME f64 left() const { return 0; }
  ME Plain operator+(Plain b) const { return Plain{high + b.high}; }
  ME Plain operator*(Plain b) const { return Plain{high * b.high}; }
};

// A double, and what rounding left of it (Knuth's two-sum, Dekker's product).
struct Carried {
  f64 high, low;
  static constexpr int columns = 2;
  static ME Carried of(f64 high, f64 low) { return Carried{high, low}; }
  static ME Carried two_sum(f64 a, f64 b) {
    const f64 total = a + b, part = total - a;
    return Carried{total, (a - (total - part)) + (b - part)};
  }
  static ME Carried distance(f64 a, f64 b) { return two_sum(a, -b); }
  ME f64 left() const { return low; }
  ME Carried operator+(Carried b) const {
    const Carried sum = two_sum(high, b.high);
    return Carried{sum.high, low + sum.low + b.low};
  }
  ME Carried operator*(Carried b) const {
    const f64 product = high * b.high;
    return Carried{product, fma(high, b.high, -product) + (high * b.low + low * b.high)};
  }
};

// Where counts stand behind the columns of a state: nowhere, one word for all cells, or a column.
enum Counts { NO_COUNTS, ONE_COUNT, COUNT_COLUMN };

template <int COUNTS>
ME void store_count(f64 *words, u64 cell, f64 count) {
  if (COUNTS == COUNT_COLUMN) words[cell] = count;
  if (COUNTS == ONE_COUNT && cell == 0) words[0] = count;
}
template <int COUNTS>
ME f64 load_count(const f64 *words, u64 cell) {
  return COUNTS == COUNT_COLUMN ? words[cell] : COUNTS == ONE_COUNT ? words[0] : 0;
}

// Sums and means.
template <class N, bool SKIP, int COUNTS>
struct Sum {
  N sum;
  f64 count;
  ME void clear() { sum = N::of(0, 0); count = 0; }
  ME void take(f64 x) {
    const bool missing = SKIP && x != x;
    sum = sum + N::of(missing ? 0 : x, 0);
    if (COUNTS != NO_COUNTS && !missing) count += 1;
  }
  ME void merge(const Sum &b) { sum = sum + b.sum; count += b.count; }
  ME void store(u8 *state, u64 cells, u64 cell) const {
    f64 *words = (f64 *)state;
    words[cell] = sum.high;
    if (N::columns > 1) words[cells + cell] = sum.left();
    store_count<COUNTS>(words + N::columns * cells, cell, count);
  }
  ME void load(const u8 *state, u64 cells, u64 cell) {
    const f64 *words = (const f64 *)state;
    sum = N::of(words[cell], N::columns > 1 ? words[cells + cell] : 0);
    count = load_count<COUNTS>(words + N::columns * cells, cell);
  }
};

// Sums of integers, which wrap, and counts of what is true.
struct Whole {
  u64 sum;
  ME void clear() { sum = 0; }
  template <class T>
  ME void take(T x) { sum += (u64)x; }
  ME void merge(const Whole &b) { sum += b.sum; }
  ME void store(u8 *state, u64, u64 cell) const { ((u64 *)state)[cell] = sum; }
  ME void load(const u8 *state, u64, u64 cell) { sum = ((const u64 *)state)[cell]; }
};

// Whether any is true, or all are.
template <bool ALL>
struct Truth {
  u32 found;
  ME void clear() { found = ALL; }
  ME void take(bool x) { found = ALL ? found & x : found | x; }
  ME void merge(const Truth &b) { found = ALL ? found & b.found : found | b.found; }
  ME void store(u8 *state, u64, u64 cell) const { state[cell] = (u8)found; }
  ME void load(const u8 *state, u64, u64 cell) { found = state[cell]; }
};

// What any other value is smaller, or larger, than.
template <class T>
FN T bound(bool smallest) {
  constexpr T negative = (T)((T)-1 < (T)0 ? 1ULL << (8 * sizeof(T) - 1) : 0);
  return smallest ? (T)~negative : negative;
}
template <>
ME bool bound<bool>(bool smallest) { return smallest; }
template <>
ME f32 bound<f32>(bool smallest) { return (f32)(smallest ? infinity() : -infinity()); }
template <>
ME f64 bound<f64>(bool smallest) { return smallest ? infinity() : -infinity(); }

// Smallest and largest values. M: as it lies in memory.
template <class T, class M, bool SMALLEST, bool SKIP>
struct Extreme {
  T value;
  ME void clear() { value = SKIP ? (T)not_a_number() : bound<T>(SMALLEST); }
  ME void take(T x) {
    const bool better = SMALLEST ? x < value : x > value;
    if (SKIP ? x == x && (better || value != value) : better || x != x) value = x;
  }
  ME void merge(const Extreme &b) { take(b.value); }
  ME void store(u8 *state, u64, u64 cell) const { ((M *)state)[cell] = (M)value; }
  ME void load(const u8 *state, u64, u64 cell) { value = (T)((const M *)state)[cell]; }
};

// Counts, and sums of the first powers of the distances from one of the elements.
template <class N, int ORDER, bool SKIP, int COUNTS>
struct Moments {
  f64 centre, count;
  N sums[ORDER];
  static ME void powers(N distance, N *out) {
    const N square = distance * distance;
    out[0] = distance;
    out[1] = square;
    if constexpr (ORDER > 2) {
      out[2] = square * distance;
      out[3] = square * square;
    }
  }
  ME void clear() {
    centre = count = 0;
#pragma unroll
    for (int power = 0; power < ORDER; ++power) sums[power] = N::of(0, 0);
  }
  ME void take(f64 x) {
    if (SKIP && x != x) return;
    if (count == 0) centre = x - x == 0 ? x : 0;
    count += 1;
    N terms[ORDER];
    powers(N::distance(x, centre), terms);
#pragma unroll
    for (int power = 0; power < ORDER; ++power) sums[power] = sums[power] + terms[power];
  }
  // The sums of `b` about this centre, by the binomial formulas, are added.
  ME void merge(const Moments &b) {
    if (b.count == 0) return;
    if (count == 0) {
      *this = b;
      return;
    }
    const N n = N::of(b.count, 0), two = N::of(2, 0);
    N steps[ORDER];
    powers(N::distance(b.centre, centre), steps);
    sums[0] = sums[0] + (b.sums[0] + steps[0] * n);
    sums[1] = sums[1] + (b.sums[1] + steps[1] * n + b.sums[0] * steps[0] * two);
    if constexpr (ORDER > 2) {
      const N three = N::of(3, 0), four = N::of(4, 0), six = N::of(6, 0);
      sums[2] = sums[2] + (b.sums[2] + steps[2] * n + b.sums[0] * steps[1] * three + b.sums[1] * steps[0] * three);
      sums[3] = sums[3] + (b.sums[3] + steps[3] * n + b.sums[0] * steps[2] * four + b.sums[1] * steps[1] * six +
                           b.sums[2] * steps[0] * four);
    }
    count += b.count;
  }
  ME void store(u8 *state, u64 cells, u64 cell) const {
    f64 *words = (f64 *)state;
    words[cell] = centre;
    for (int power = 0; power < ORDER; ++power) {
      words[(1 + power) * cells + cell] = sums[power].high;
      if (N::columns > 1) words[(1 + ORDER + power) * cells + cell] = sums[power].left();
    }
    store_count<COUNTS>(words + (1 + N::columns * ORDER) * cells, cell, count);
  }
  ME void load(const u8 *state, u64 cells, u64 cell) {
    const f64 *words = (const f64 *)state;
    centre = words[cell];
    for (int power = 0; power < ORDER; ++power) {
      const f64 low = N::columns > 1 ? words[(1 + ORDER + power) * cells + cell] : 0;
      sums[power] = N::of(words[(1 + power) * cells + cell], low);
    }
    count = load_count<COUNTS>(words + (1 + N::columns * ORDER) * cells, cell);
  }
};

// Threads of a block.
#define THREADS 256

// What is reduced: `outer` x `reduced` x `inner` elements to `outer` x `inner` cells. A block takes `width` (a power of
// two) neighbouring cells and one of the `parts` of `part_len` elements that each cell's elements are cut into.
struct Reduced {
  u64 outer, reduced, inner, parts, part_len;
  u32 width;
};

// What one turn of a block takes.
struct Turn {
  u64 outer, part, column, first, last;
  ME static u64 count(const Reduced &shape) {
    return shape.outer * shape.parts * ((shape.inner + shape.width - 1) / shape.width);
  }
  ME static Turn at(const Reduced &shape, u64 turn) {
    const u64 columns = (shape.inner + shape.width - 1) / shape.width;
    Turn t;
    t.column = turn % columns * shape.width + threadIdx.x % shape.width;
    t.part = turn / columns % shape.parts;
    t.outer = turn / columns / shape.parts;
    t.first = t.part * shape.part_len;
    const u64 end = t.first + shape.part_len;
    t.last = end < shape.reduced ? end : shape.reduced;
    return t;
  }
};

// Merges the states of the threads that share a cell, halves onto halves; the first of them has the result.
template <class S>
ME void merge_block(S *states, const S &own, u32 width) {
  states[threadIdx.x] = own;
  __syncthreads();
  for (u32 half = THREADS / 2; half >= width; half /= 2) {
    if (threadIdx.x < half) states[threadIdx.x].merge(states[threadIdx.x + half]);
    __syncthreads();
  }
}
#endif
