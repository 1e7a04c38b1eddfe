// Windows of any shape: a thread looks at the points of its window one after another. The generated text before this says
// what lies in memory, M, as what is compared or added, V, by seen(); V of a double, by constant(); and what is made, of type
// Q. Where a whole window lies among the elements that are held, its points are as far apart as everywhere else.

// `made` results along each axis, steps between elements that are held, and where the tables of the axis begin.
template <int D>
struct Seen {
  u64 made[D], places[D], whole[D];
  i64 step[D];
  f64 value[D];
  u64 count;
  u32 points;
};

template <int D>
struct Sight {
  const M *p;
  const i32 *tables;
  const i64 *deltas;
  const u32 *points;
  const Seen<D> &shape;
  u64 at[D];
  i64 base;
  bool is_whole;

  // Where the window of a result lies.
  ME void look(u64 flat) {
    base = 0;
    is_whole = true;
#pragma unroll
    for (int d = D - 1; d >= 0; --d) {
      at[d] = flat % shape.made[d];
      flat /= shape.made[d];
      const i32 place = tables[shape.whole[d] + at[d]];
      is_whole &= place >= 0;
      base += place * shape.step[d];
    }
  }

  ME V operator[](u32 n) const {
    if (is_whole) return seen(p[base + deltas[n]]);
    i64 place = 0;
#pragma unroll
    for (int d = 0; d < D; ++d) {
      const i32 own = tables[shape.places[d] + at[d] + points[n * D + d]];
      if (own < 0) return constant(shape.value[d]);
      place += own * shape.step[d];
    }
    return seen(p[place]);
  }
};

template <class OPERATION, int D>
FN void windows(const M *p, Q *q, const i32 *tables, const i64 *deltas, const u32 *points, const Seen<D> &shape, const OPERATION operation) {
  const u64 thread = (u64)blockIdx.x * blockDim.x + threadIdx.x, threads = (u64)gridDim.x * blockDim.x;
  for (u64 flat = thread; flat < shape.count; flat += threads) {
    Sight<D> sight = {p, tables, deltas, points, shape};
    sight.look(flat);
    q[flat] = operation.of(sight, shape.points);
  }
}
