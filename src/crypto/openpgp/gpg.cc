#include "crypto/openpgp/gpg.hh"

#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "crypto/key_text.hh"
#include "crypto/openpgp/packet.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr std::size_t largest_output = 16 << 20;

/// Text that may hold a key; overwritten at the end.
class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() { wipe(std::as_writable_bytes(std::span(text_))); }

  void append(Bytes data) {
    // A string that grows by itself would leave copies behind.
    if (text_.size() + data.size() > text_.capacity()) {
      std::string larger;
      larger.reserve(2 * (text_.size() + data.size()));
      larger = text_;
      wipe(std::as_writable_bytes(std::span(text_)));
      text_.swap(larger);
    }
    text_.append(text_of(data));
  }
  std::string_view text() const noexcept { return text_; }

 private:
  std::string text_;
};

struct Finished {
  Output out;
  Output messages;
  int status = 0;
};

/// Both ends of a pair of sockets: a program that ends early must not raise SIGPIPE here, and pipes would.
std::pair<Fd, Fd> channel() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw system_error(errno, "socketpair");
  return {Fd(ends[0]), Fd(ends[1])};
}

class SpawnActions {
 public:
  SpawnActions() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  void connect(const Fd& here, int there) { posix_spawn_file_actions_adddup2(&files_, here.get(), there); }
  int spawn(pid_t& child, const std::string& program, std::vector<std::string>& arguments) {
    std::vector<char*> pointers;
    pointers.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    return posix_spawnp(&child, program.c_str(), &files_, &attributes_, pointers.data(), environ);
  }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

/// Reads what is there; false at the end.
bool read_some(const Fd& from, Output& into) {
  SecretBytes buffer(std::size_t{64} << 10);
  const ssize_t n = recv(from.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && errno == EINTR) return true;
  if (n < 0 && errno != ECONNRESET) throw system_error(errno, "reading from gpg");
  if (n <= 0) return false;
  into.append(Bytes(buffer.span()).first(static_cast<std::size_t>(n)));
  if (into.text().size() > largest_output) throw Error(Errc::config, "gpg writes more than a key can be");
  return true;
}

/// Feeds `input` and collects both outputs until the program has closed them.
void converse(Fd in, Fd out, Fd messages, std::string_view input, Finished& result) {
  if (input.empty()) in.close();
  while (out || messages) {
    std::array<pollfd, 3> wait{{{in ? in.get() : -1, POLLOUT, 0},
                                {out ? out.get() : -1, POLLIN, 0},
                                {messages ? messages.get() : -1, POLLIN, 0}}};
    if (poll(wait.data(), wait.size(), -1) < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "poll");
    }
    if (wait[0].revents != 0) {
      const ssize_t n = send(in.get(), input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) input.remove_prefix(static_cast<std::size_t>(n));
      const bool failed = n < 0 && errno != EINTR && errno != EAGAIN;
      if (failed || input.empty()) in.close();
    }
    if (wait[1].revents != 0 && !read_some(out, result.out)) out.close();
    if (wait[2].revents != 0 && !read_some(messages, result.messages)) messages.close();
  }
}

void run(const std::string& program, std::vector<std::string> arguments, std::string_view input, Finished& result) {
  auto [in, in_there] = channel();
  auto [out, out_there] = channel();
  auto [messages, messages_there] = channel();
  SpawnActions actions;
  actions.connect(in_there, STDIN_FILENO);
  actions.connect(out_there, STDOUT_FILENO);
  actions.connect(messages_there, STDERR_FILENO);
  arguments.insert(arguments.begin(), program);
  pid_t child = 0;
  if (const int failure = actions.spawn(child, program, arguments); failure != 0) {
    throw Error(Errc::config, fmt::format("'{}' cannot be started: {}; install GnuPG, or give the key itself by "
                                          "WALG_PGP_KEY_PATH",
                                          program, std::strerror(failure)));
  }
  in_there.close();
  out_there.close();
  messages_there.close();
  try {
    converse(std::move(in), std::move(out), std::move(messages), input, result);
  } catch (...) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    throw;
  }
  while (waitpid(child, &result.status, 0) < 0) {
    if (errno != EINTR) throw system_error(errno, "waiting for gpg");
  }
}

/// GnuPG's messages in one line.
std::string one_line(std::string_view text) {
  std::string out;
  for (const std::string_view part : seawall::split(text, '\n')) {
    const std::string_view line = seawall::trim(part);
    if (line.empty()) continue;
    if (!out.empty()) out += "; ";
    out += line;
  }
  return out.empty() ? "it gave no reason" : out;
}

}  // namespace

SecretBytes gpg_export(const std::string& program, const std::string& key_id) {
  Finished result;
  run(program, {"--batch", "--no-tty", "--quiet", "--export", "--", key_id}, {}, result);
  if (result.status != 0 || result.out.text().empty()) {
    throw Error(Errc::config, fmt::format("gpg gives no public key for '{}' (WALG_GPG_KEY_ID): {}", key_id,
                                          one_line(result.messages.text())));
  }
  return SecretBytes::copy_of(bytes_of(result.out.text()));
}

SessionKey gpg_session_key(const std::string& program, std::span<const std::string> packets, Bytes passphrase) {
  std::vector<std::string> arguments{"--batch", "--no-tty", "--quiet", "--status-fd", "1", "--show-session-key"};
  Output input;
  if (!passphrase.empty()) {
    // GnuPG takes the first line for the passphrase and the rest of the same input for the message.
    arguments.insert(arguments.end(), {"--pinentry-mode", "loopback", "--passphrase-fd", "0"});
    input.append(passphrase);
    input.append(bytes_of("\n"));
  }
  arguments.emplace_back("--decrypt");
  const auto append = [&input](Tag tag, const std::string& body) {
    input.append(bytes_of(packet_header(tag, body.size())));
    input.append(bytes_of(body));
  };
  for (const std::string& packet : packets) append(Tag::public_key_session, packet);
  // GnuPG looks at a session key only when something encrypted follows. What it says about this is of no interest.
  append(Tag::protected_v1, "\x01" + std::string(40, '\0'));
  Finished result;
  run(program, std::move(arguments), input.text(), result);
  constexpr std::string_view mark = "[GNUPG:] SESSION_KEY ";
  std::string_view text = result.out.text();
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) throw Error(Errc::denied, one_line(result.messages.text()));
  text.remove_prefix(at + mark.size());
  text = text.substr(0, text.find('\n'));
  const std::size_t colon = text.find(':');
  const auto cipher = seawall::parse_int<unsigned>(text.substr(0, colon));
  auto key =
      colon == std::string_view::npos ? std::nullopt : decode_hex(bytes_of(seawall::trim(text.substr(colon + 1))));
  if (!cipher || !key || (aes_key_bytes(*cipher) != 0 && aes_key_bytes(*cipher) != key->size())) {
    throw Error(Errc::bug, "gpg's answer with a session key is not understood");
  }
  return {*cipher, std::move(*key)};
}

}  // namespace seawall::crypto::openpgp
