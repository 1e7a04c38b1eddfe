// Windows along one axis. A block brings pieces of some lines together in shared memory, edges made, and each of its threads
// makes results of them. The generated text before this says what lies in memory, M, as a double, seen(), and what is made of
// a double, made(), of type Q. Windows are added up in the CPU's order (kernels/src/filter).

// `lines` lines of `held` elements, `inner` apart, become lines of `made` results. A block takes `width` lines and
// `positions` results of each at a time.
struct Lines {
  u64 lines, inner, held, made;
  i64 first;
  f64 value;
  u32 size, width, positions;
};

// A thread's window among those that lie in shared memory.
struct Window {
  const f64 *start;
  u32 step;
  i64 position;
  ME f64 operator[](u32 n) const { return start[n * step]; }
};

enum Symmetry { EVEN, ODD, NEITHER };

template <Symmetry SYMMETRY>
struct Weighted {
  const f64 *weights;
  u32 size;
  ME f64 of(const Window &x) const {
    const u32 last = size - 1, middle = SYMMETRY == NEITHER ? last : size / 2;
    f64 sum = x[middle] * weights[middle];
    for (u32 n = 0; n < middle; ++n) {
      const f64 seen = SYMMETRY == EVEN ? x[n] + x[last - n] : SYMMETRY == ODD ? x[n] - x[last - n] : x[n];
      sum += seen * weights[n];
    }
    return sum;
  }
};

enum Of { SMALLEST, LARGEST, MEAN };

template <Of OF>
struct Running {
  u32 size;
  static ME f64 join(f64 a, f64 b) {
    if (OF == SMALLEST) return b < a ? b : a;
    if (OF == LARGEST) return b > a ? b : a;
    return a + b;
  }
  ME f64 of(const Window &x) const {
    // Where in its block the first element lies: the next block begins behind `before` of them.
    const i64 within = floor_rest(x.position, (i64)size);
    const u32 before = within == 0 ? 0 : size - (u32)within;
    f64 joined = x[before];
    for (u32 n = before + 1; n < size; ++n) joined = join(joined, x[n]);
    if (before > 0) {
      f64 behind = x[before - 1];
      for (u32 n = before - 1; n-- > 0;) behind = join(x[n], behind);
      joined = join(behind, joined);
    }
    return OF == MEAN ? joined / (f64)size : joined;
  }
};

// Of a line, what comes before it on the axes before its own, and on those after it.
struct Place {
  u64 outer, inner;
  ME Place beside(u32 lanes, u64 inners) const {
    const u64 next = inner + lanes;
    return next < inners ? Place{outer, next} : Place{outer + next / inners, next % inners};
  }
};

// ALONG: lines are contiguous, and threads beside each other take neighbours of a line; else of the lines.
template <bool ALONG, class OPERATION>
FN void windows(const M *p, Q *q, const i32 *places, const Lines s, const OPERATION operation, f64 *tile) {
  const u32 rows = s.positions + s.size - 1;
  const u32 step = ALONG ? 1 : s.width, apart = ALONG ? rows : 1;
  const u64 pieces = (s.made + s.positions - 1) / s.positions;
  const u64 turns = (s.lines + s.width - 1) / s.width * pieces;
  for (u64 turn = blockIdx.x; turn < turns; turn += gridDim.x) {
    const u64 line = turn / pieces * s.width, start = turn % pieces * s.positions;
    const u64 inners = ALONG ? 1 : s.inner;
    const Place first = {line / inners, line % inners};
    const u32 lanes = (u32)(s.lines - line < s.width ? s.lines - line : s.width);
    const u32 wanted = (u32)(s.made - start < s.positions ? s.made - start : s.positions);
    const u32 seen_rows = wanted + s.size - 1;
    for (u32 item = threadIdx.x; item < lanes * seen_rows; item += blockDim.x) {
      const u32 lane = ALONG ? item / seen_rows : item % lanes, row = ALONG ? item % seen_rows : item / lanes;
      const Place own = first.beside(lane, inners);
      const i32 place = places[start + row];
      const u64 at = (own.outer * s.held + (u64)place) * inners + own.inner;
      tile[lane * apart + row * step] = place < 0 ? s.value : seen(p[at]);
    }
    __syncthreads();
    for (u32 item = threadIdx.x; item < lanes * wanted; item += blockDim.x) {
      const u32 lane = ALONG ? item / wanted : item % lanes, row = ALONG ? item % wanted : item / lanes;
      const Place own = first.beside(lane, inners);
      const Window window = {tile + lane * apart + row * step, step, s.first + (i64)(start + row)};
      q[(own.outer * s.made + start + row) * inners + own.inner] = made(operation.of(window));
    }
    __syncthreads();
  }
}
