#include "base/io.hh"

#include <algorithm>

#include "base/filter.hh"

namespace seawall {

std::size_t read_full(Source& from, MutableBytes into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const std::size_t n = from.read(into.subspan(done));
    if (n == 0) break;
    done += n;
  }
  return done;
}

std::size_t MemorySource::read(MutableBytes into) {
  const std::size_t n = std::min(into.size(), rest_.size());
  std::copy_n(rest_.begin(), n, into.begin());
  rest_ = rest_.subspan(n);
  return n;
}

void Filter::write(Bytes data) {
  while (!data.empty()) {
    const MutableBytes room = space();
    const std::size_t n = std::min(room.size(), data.size());
    std::copy_n(data.begin(), n, room.begin());
    filled(n);
    data = data.subspan(n);
  }
}

}  // namespace seawall
