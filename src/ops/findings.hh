#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

namespace seawall::ops {

/// How something stands that was verified.
enum class Soundness {
  whole,
  incomplete,  ///< something that should be there is not
  damaged,     ///< something that is there is not what it was
};
std::string_view name_of(Soundness soundness) noexcept;  ///< stable: part of JSON output

/// What a verification found wrong with one object.
struct Finding {
  Soundness soundness = Soundness::whole;  ///< whole: a remark
  std::string object;                      ///< in the archive
  std::string text;
};

/// Collects findings. Any thread.
class Findings {
 public:
  void add(Soundness soundness, std::string_view object, std::string text);
  /// By what an Error says of the object. Those that are no property of the archive (no network, no key, a stop) are
  /// thrown on.
  void add(const Error& error, std::string_view object);
  Soundness worst() const;
  std::vector<Finding> take();

 private:
  mutable std::mutex mutex_;
  std::vector<Finding> findings_;
  Soundness worst_ = Soundness::whole;
};

}  // namespace seawall::ops
