#include "signal_watch.hh"

#include <pthread.h>
#include <unistd.h>

namespace seawall {

SignalWatch::SignalWatch() {
  sigemptyset(&set_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  thread_ = std::thread([this] { wait(); });
  thread_.detach();
}

void SignalWatch::die_of(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);
}

void SignalWatch::wait() {
  for (int signal = 0; sigwait(&set_, &signal) == 0;) {
    if (received_.exchange(signal) != 0) die_of(signal);
    stop_.request_stop();
  }
}

}  // namespace seawall
