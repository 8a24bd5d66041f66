#pragma once

#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "storage/http/http.hh"
#include "storage/http/lane_pool.hh"
#include "storage/http/transfer.hh"

namespace seawall::storage::http {

/// Collects a whole body in memory: Errc::corrupt, as soon as it is known, if it is larger than `limit` bytes.
class WholeBody final : public BodyTaker {
 public:
  explicit WholeBody(std::size_t limit) : limit_(limit) {}
  bool take(const Transfer& transfer, Bytes piece) override;
  void forget() override { text_.clear(); }
  std::string& text() noexcept { return text_; }

 private:
  std::size_t limit_;
  std::string text_;
};

/// Places a body where it was told to. What one step brings beyond that waits in the lane's spill.
class StreamedBody final : public BodyTaker {
 public:
  explicit StreamedBody(std::vector<std::byte>& spill) : spill_(spill) {}
  bool take(const Transfer& transfer, Bytes piece) override;
  void forget() override;

  void aim(MutableBytes into) noexcept;
  std::size_t placed() const noexcept { return placed_; }
  std::size_t room() const noexcept { return into_.size() - placed_; }
  std::size_t take_spilt(MutableBytes into) noexcept;

 private:
  std::vector<std::byte>& spill_;
  std::size_t spill_start_ = 0;
  MutableBytes into_;
  std::size_t placed_ = 0;
};

class StreamedDownload final : public Download {
 public:
  /// Returns when the headers are there.
  StreamedDownload(LanePool& pool, const Request& request, std::stop_token stop);
  std::size_t read(MutableBytes into) override;

 private:
  LanePool::Borrowed borrowed_;
  StreamedBody body_;
  Transfer transfer_;
};

}  // namespace seawall::storage::http
