// The results of several chains become one: their sum, or the root of the sum of their squares, each step rounded as what
// is stored is. The generated text before this says seen() and made() of an element, and squared() and added().

template <bool NORM>
FN void terms_of(const Q *terms, Q *q, u64 count, u32 chains) {
  const u64 thread = (u64)blockIdx.x * blockDim.x + threadIdx.x, threads = (u64)gridDim.x * blockDim.x;
  for (u64 at = thread; at < count; at += threads) {
    Q sum = NORM ? squared(terms[at]) : terms[at];
    for (u32 chain = 1; chain < chains; ++chain) {
      const Q term = terms[chain * count + at];
      sum = added(sum, NORM ? squared(term) : term);
    }
    q[at] = NORM ? made(sqrt(seen(sum))) : sum;
  }
}
