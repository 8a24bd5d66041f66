#include "storage/s3/conditions.hh"

namespace seawall::storage::s3 {

Conditions::Belief Conditions::if_absent() {
  std::lock_guard lock(mutex_);
  if (!asked_ && if_absent_ == Belief::unknown && cache_.recall) {
    if (const auto honoured = cache_.recall()) if_absent_ = *honoured ? Belief::honoured : Belief::ignored;
  }
  asked_ = true;
  return if_absent_;
}

void Conditions::learn_if_absent(bool honoured) {
  const Belief belief = honoured ? Belief::honoured : Belief::ignored;
  {
    std::lock_guard lock(mutex_);
    asked_ = true;
    if (if_absent_ == belief) return;
    if_absent_ = belief;
  }
  if (cache_.keep) cache_.keep(honoured);
}

}  // namespace seawall::storage::s3
