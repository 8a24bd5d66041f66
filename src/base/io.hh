#pragma once

#include <cstddef>
#include <string>

#include "base/bytes.hh"

namespace seawall {

/// Bytes to be read in order. One reader, any thread. Throws Error on failure; truncation is a failure, never an end.
class Source {
 public:
  virtual ~Source() = default;
  /// Fills a prefix of `into` (not empty) and returns its length; 0 only at the end.
  virtual std::size_t read(MutableBytes into) = 0;
};

/// Where bytes go. Takes all of `data` or throws; blocks while the consumer is behind: that is the backpressure.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(Bytes data) = 0;
  /// Room for at least `bytes`, in which a producer may place its next bytes itself and then say placed(n): of a
  /// consumer that keeps them anyway, and so saves a copy. Empty: use write(). Valid until the next call.
  virtual MutableBytes room([[maybe_unused]] std::size_t bytes) { return {}; }
  virtual void placed([[maybe_unused]] std::size_t n) {}
};

/// Reads until `into` is full or the source ends; returns the number of bytes read.
std::size_t read_full(Source& from, MutableBytes into);

/// A Source over memory that must outlive it.
class MemorySource final : public Source {
 public:
  explicit MemorySource(Bytes data) : rest_(data) {}
  std::size_t read(MutableBytes into) override;

 private:
  Bytes rest_;
};

/// Collects everything in a string. For small objects: sentinels, labels, settings files.
class StringSink final : public Sink {
 public:
  void write(Bytes data) override { text_.append(text_of(data)); }
  std::string& text() { return text_; }

 private:
  std::string text_;
};

}  // namespace seawall
