#include "crypto/openpgp/gpg.hh"

#include <fmt/format.h>

#include <vector>

#include "base/error.hh"
#include "base/text.hh"
#include "crypto/key_text.hh"
#include "crypto/openpgp/packet.hh"
#include "crypto/program.hh"

namespace seawall::crypto::openpgp {
namespace {

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

void run_gpg(const std::string& program, std::vector<std::string> arguments, std::string_view input, Finished& result) {
  try {
    run_program(program, std::move(arguments), input, result);
  } catch (Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::config,
                fmt::format("{}; install GnuPG, or give the key itself by WALG_PGP_KEY_PATH", error.what()));
  }
}

/// The ids of the keys that the packets are for.
std::string recipients_of(std::span<const std::string> packets) {
  std::string ids;
  for (const std::string& packet : packets) {
    if (packet.size() < 9) continue;
    std::uint64_t id = 0;
    for (std::size_t i = 1; i < 9; ++i) id = id << 8 | static_cast<unsigned char>(packet[i]);
    if (!ids.empty()) ids += ", ";
    ids += id_text(id);
  }
  return ids;
}

/// Is one of the keys in the ring, with its secret part?
bool has_secret_key(const std::string& program, const std::string& ids) {
  for (const std::string_view id : seawall::split(ids, ',')) {
    Finished listed;
    run_gpg(program, {"--batch", "--no-tty", "--quiet", "--list-secret-keys", "--", std::string(seawall::trim(id))}, {},
            listed);
    if (listed.status == 0) return true;
  }
  return false;
}

/// What keeps gpg from decrypting, in words that say what to do. Only who has the secret key can lack its passphrase.
std::string refusal(const std::string& program, const Finished& result, std::span<const std::string> packets,
                    bool had_passphrase) {
  const std::string ids = recipients_of(packets);
  const std::string said = one_line(result.messages.text());
  // By its words gpg does not tell a key that is locked from one that is not there.
  if (!has_secret_key(program, ids)) {
    return fmt::format(
        "its key {} has no secret part in this user's GnuPG key ring (HOME or GNUPGHOME decide which): {}", ids, said);
  }
  if (had_passphrase) return fmt::format("the passphrase that is set does not unlock key {}: {}", ids, said);
  return fmt::format(
      "key {} is protected by a passphrase that gpg-agent does not have: give it by the setting "
      "WALG_PGP_KEY_PASSPHRASE, by a file (SEAWALL_PGP_PASSPHRASE_PATH) or by a command "
      "(SEAWALL_PGP_PASSPHRASE_COMMAND), or hand it to gpg-agent: {}",
      ids, said);
}

}  // namespace

SecretBytes gpg_export(const std::string& program, const std::string& key_id) {
  Finished result;
  run_gpg(program, {"--batch", "--no-tty", "--quiet", "--export", "--", key_id}, {}, result);
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
  run_gpg(program, std::move(arguments), input.text(), result);
  constexpr std::string_view mark = "[GNUPG:] SESSION_KEY ";
  std::string_view text = result.out.text();
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) throw Error(Errc::denied, refusal(program, result, packets, !passphrase.empty()));
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
