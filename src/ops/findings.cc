#include "ops/findings.hh"

#include <algorithm>
#include <utility>

namespace seawall::ops {

std::string_view name_of(Soundness soundness) noexcept {
  switch (soundness) {
    case Soundness::whole:
      return "whole";
    case Soundness::incomplete:
      return "incomplete";
    case Soundness::damaged:
      break;
  }
  return "damaged";
}

void Findings::add(Soundness soundness, std::string_view object, std::string text) {
  std::lock_guard lock(mutex_);
  worst_ = std::max(worst_, soundness);
  findings_.push_back({soundness, std::string(object), std::move(text)});
}

void Findings::add(const Error& error, std::string_view object) {
  std::string_view text = error.what();
  switch (error.code()) {
    case Errc::not_found:
    case Errc::incomplete:
      return add(Soundness::incomplete, object, std::string(text));
    case Errc::corrupt:
    case Errc::foreign:
    case Errc::differs:
    case Errc::unsupported:
      return add(Soundness::damaged, object, std::string(text));
    default:
      throw error;
  }
}

Soundness Findings::worst() const {
  std::lock_guard lock(mutex_);
  return worst_;
}

std::vector<Finding> Findings::take() {
  std::lock_guard lock(mutex_);
  return std::exchange(findings_, {});
}

}  // namespace seawall::ops
