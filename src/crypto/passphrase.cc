#include "crypto/passphrase.hh"

#include <fmt/format.h>
#include <sys/wait.h>

#include "base/error.hh"
#include "base/text.hh"
#include "crypto/key_text.hh"
#include "crypto/program.hh"

namespace seawall::crypto {
namespace {

SecretBytes first_line(Bytes text, const PassphraseSource& source) {
  const std::string_view all = text_of(text);
  std::string_view line = all.substr(0, all.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) throw Error(Errc::config, fmt::format("{} gives no passphrase", passphrase_setting(source)));
  return SecretBytes::copy_of(bytes_of(line));
}

}  // namespace

std::string_view passphrase_setting(const PassphraseSource& source) noexcept {
  if (source.text.empty() && !source.path.empty()) return "SEAWALL_PGP_PASSPHRASE_PATH";
  if (source.text.empty() && !source.command.empty()) return "SEAWALL_PGP_PASSPHRASE_COMMAND";
  return "WALG_PGP_KEY_PASSPHRASE";
}

SecretBytes read_passphrase(const PassphraseSource& source) {
  if (!source.text.empty()) return SecretBytes::copy_of(bytes_of(source.text));
  const std::string setting(passphrase_setting(source));
  if (!source.path.empty()) {
    return first_line(read_key({.setting = setting, .text = {}, .path = source.path}).span(), source);
  }
  if (source.command.empty()) return {};
  Finished result;
  run_program("/bin/sh", {"-c", source.command}, {}, result);
  if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != 0) {
    // What it printed may be a secret; what it complained of is not.
    throw Error(Errc::config,
                fmt::format("the command of {} failed ({}): {}", setting,
                            WIFEXITED(result.status) ? fmt::format("exit status {}", WEXITSTATUS(result.status))
                                                     : fmt::format("signal {}", WTERMSIG(result.status)),
                            seawall::trim(result.messages.text())));
  }
  return first_line(bytes_of(result.out.text()), source);
}

}  // namespace seawall::crypto
