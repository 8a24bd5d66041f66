#pragma once

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

namespace seawall {

/// Turns SIGINT, SIGTERM, SIGHUP and SIGQUIT into a stop request; a second one ends the process at once. Blocks them
/// in every thread, so it is made before any.
class SignalWatch {
 public:
  SignalWatch();
  std::stop_token token() const { return stop_.get_token(); }
  /// The signal that asked for the stop; 0: none did.
  int received() const { return received_; }
  /// Ends the process as that signal would have: the caller sees what killed it (R1, R15).
  [[noreturn]] static void die_of(int signal);

 private:
  void wait();

  sigset_t set_{};
  std::stop_source stop_;
  std::atomic<int> received_{0};
  std::thread thread_;
};

}  // namespace seawall
