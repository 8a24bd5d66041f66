#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/io.hh"

/// What codecs.cc and ciphers.cc measure with: a stage from memory to memory, and the CPU time of this thread.
namespace seawall::bench {

inline const std::uint8_t* in_of(std::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }
inline std::uint8_t* out_of(std::string& text, std::size_t at = 0) {
  return reinterpret_cast<std::uint8_t*>(text.data()) + at;
}

inline void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

/// Puts what it is given into memory that was touched before.
class Memory final : public Sink {
 public:
  explicit Memory(std::string& into) : into_(into) {}
  void write(Bytes data) override {
    require(used_ + data.size() <= into_.size(), "more came out than can be");
    std::copy_n(text_of(data).data(), data.size(), into_.data() + used_);
    used_ += data.size();
  }
  MutableBytes room(std::size_t bytes) override {
    const MutableBytes all = std::as_writable_bytes(std::span(into_)).subspan(used_);
    return all.size() < bytes ? MutableBytes{} : all;
  }
  void placed(std::size_t n) override { used_ += n; }
  std::size_t used() const noexcept { return used_; }

 private:
  std::string& into_;
  std::size_t used_ = 0;
};

inline std::size_t through(Filter& filter, const Memory& out, std::string_view data, std::size_t piece_bytes) {
  for (; !data.empty(); data.remove_prefix(std::min(piece_bytes, data.size()))) {
    filter.write(bytes_of(data.substr(0, piece_bytes)));
  }
  filter.finish();
  return out.used();
}

/// Takes input, fills output, returns bytes of output.
using Work = std::function<std::size_t(std::string_view in, std::string& out)>;

/// The least CPU seconds that one of `rounds` calls took.
inline double best_cpu(int rounds, const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const double start = now();
    work();
    const double taken = now() - start;
    best = round == 0 ? taken : std::min(best, taken);
  }
  return best;
}

inline double mb_per_second(std::size_t bytes, double seconds) { return static_cast<double>(bytes) / 1e6 / seconds; }

}  // namespace seawall::bench
