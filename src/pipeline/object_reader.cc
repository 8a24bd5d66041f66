#include "pipeline/object_reader.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "pipeline/object_writer.hh"

namespace seawall::pipeline {
namespace {

/// Suffixes that WAL-G and WAL-E write and this build may lack: meeting one is an error, not absence.
constexpr std::array<std::string_view, 7> written_suffixes{"lz4", "lzma", "gz", "br", "lzo", "zst", ""};

std::vector<std::string> candidate_keys(const Repository& repository, std::string_view name) {
  std::vector<std::string> keys;
  for (const std::string_view suffix : written_suffixes) {
    std::string key = repository.key(name);
    if (!suffix.empty()) key.append(".").append(suffix);
    keys.push_back(std::move(key));
  }
  keys.push_back(repository.key(name) + ".");  // WAL-G's method none once wrote the dot (spec §1.2); it still reads it
  return keys;
}

std::string_view suffix_after(std::string_view key, std::size_t name_length) {
  return key.size() > name_length ? key.substr(name_length + 1) : std::string_view{};
}

Error unsupported_suffix(std::string_view key, std::string_view suffix) {
  return {Errc::unsupported,
          fmt::format("{}: compression '.{}' is not supported by this build of seawall", key, suffix)};
}

}  // namespace

std::vector<Found> find_all_encoded(const Repository& repository, std::string_view name, std::stop_token stop) {
  std::vector<Found> found;
  const std::size_t name_length = repository.prefix.size() + name.size();
  for (storage::ObjectInfo& object : repository.store->stat_each(candidate_keys(repository, name), stop)) {
    const std::string_view suffix = suffix_after(object.key, name_length);
    const codec::Codec* codec = codec::find_codec_by_suffix(suffix);
    if (codec == nullptr) throw unsupported_suffix(object.key, suffix);
    found.push_back({std::move(object), codec});
  }
  return found;
}

std::optional<Found> find_encoded(const Repository& repository, std::string_view name, std::stop_token stop) {
  // The codec that this repository writes is the likely one; asking for it alone first saves the other requests.
  if (repository.codec != nullptr) {
    if (auto object = repository.store->stat(repository.key(with_suffix(name, *repository.codec)), stop)) {
      return Found{std::move(*object), repository.codec};
    }
  }
  std::vector<Found> found = find_all_encoded(repository, name, std::move(stop));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

const codec::Codec& codec_of_key(std::string_view key) {
  const std::string_view file = key.substr(key.rfind('/') + 1);
  const std::size_t dot = file.rfind('.');
  std::string_view suffix = dot == std::string_view::npos ? std::string_view{} : file.substr(dot + 1);
  if (suffix == "tar") suffix = {};
  const codec::Codec* codec = codec::find_codec_by_suffix(suffix);
  if (codec == nullptr) throw unsupported_suffix(key, suffix);
  return *codec;
}

namespace {

/// An encoded object on its way back: decrypted, then decoded, into a sink.
class Unpacking {
 public:
  Unpacking(const Repository& repository, const storage::ObjectInfo& object, const codec::Codec& codec, bool checked,
            Sink& to)
      : key_(object.key),
        reader_of_openpgp_(repository.reader_of_openpgp),
        expects_plain_(repository.crypter == nullptr),
        decoder_(codec.decode({.key = object.key, .size_hint = object.bytes, .digest_is_checked = checked}, to)),
        cipher_(expects_plain_ ? nullptr : decrypting(*repository.crypter, object.key, *decoder_)) {}

  void write(Bytes data) {
    if (head_.empty()) look_at(data);
    if (head_.size() < head_bytes) head_.append(text_of(data.first(std::min(data.size(), head_bytes))));
    guarded([&] { first().write(data); });
  }
  void finish() {
    guarded([&] {
      if (cipher_) cipher_->finish();
      decoder_->finish();
    });
  }

 private:
  static constexpr std::size_t head_bytes = 64;

  /// What is wrong with the key is said of the object that needs it.
  static std::unique_ptr<Filter> decrypting(const crypto::Crypter& crypter, const std::string& key, Sink& to) {
    try {
      return crypter.decrypt(key, to);
    } catch (Error& error) {
      if (std::string_view(error.what()).find(key) == std::string_view::npos) error.during(key);
      throw;
    }
  }

  /// The first bytes, of which a source gives at least a few hundred unless there are no more.
  void look_at(Bytes data) {
    if (!expects_plain_ || reader_of_openpgp_ == nullptr || crypto::seems_encrypted(data) != "OpenPGP") return;
    expects_plain_ = false;
    cipher_ = reader_of_openpgp_->decrypt(key_, *decoder_);
  }

  Filter& first() { return cipher_ ? *cipher_ : *decoder_; }

  /// Bytes that no decoder takes may be no damage: somebody else encrypts what he stores here.
  template <class Step>
  void guarded(Step&& step) {
    try {
      step();
    } catch (const Error& error) {
      if (error.code() == Errc::corrupt && expects_plain_) refuse_encrypted(error);
      throw;
    }
  }

  void refuse_encrypted(const Error& error) const {
    const std::string_view method = crypto::seems_encrypted(bytes_of(head_));
    if (!method.empty()) {
      throw Error(Errc::config,
                  fmt::format("object '{}' seems to be encrypted with {}, but no encryption is configured: "
                              "set WALG_PGP_KEY_PATH, WALG_LIBSODIUM_KEY_PATH or what it was written with",
                              key_, method));
    }
    // libsodium leaves no sign; what begins as its codec does was damaged further on.
    if (head_.empty() || !crypto::seems_plain(bytes_of(head_)).empty()) return;
    throw Error(error.code(), fmt::format("{}; if the object is encrypted, set WALG_LIBSODIUM_KEY_PATH, "
                                          "WALG_PGP_KEY_PATH or what it was written with",
                                          error.what()));
  }

  const std::string key_;
  const std::shared_ptr<const crypto::Crypter> reader_of_openpgp_;  // shared with the repository
  bool expects_plain_;
  std::string head_;
  const std::unique_ptr<Filter> decoder_;
  std::unique_ptr<Filter> cipher_;  // null: not encrypted
};

/// An object as it is stored, digested on its way.
class StoredBytes {
 public:
  StoredBytes(const Repository& repository, const storage::ObjectInfo& object, std::stop_token stop)
      : key_(object.key),
        stop_(stop),
        source_(repository.store->try_open(object.key, {.if_version = object.version}, stop)) {
    if (source_ == nullptr) throw Error(Errc::not_found, fmt::format("object '{}' is no longer in the storage", key_));
  }

  /// Empty at the end.
  Bytes next() {
    const std::size_t n = source_->read(buffer_.span());
    if (n != 0 && stop_.stop_requested())
      throw Error(Errc::cancelled, fmt::format("reading of '{}' was stopped", key_));
    const Bytes data = buffer_.span().first(n);
    digester_.update(data);
    bytes_ += n;
    return data;
  }
  void drain() {
    while (!next().empty()) {
    }
  }
  Pulled pulled() const { return {.stored_bytes = bytes_, .digest = digester_.value()}; }
  Error differs_from(Digest recorded) const {
    return {Errc::corrupt, fmt::format("object '{}' does not hold the bytes that were written: their digest is {}, "
                                       "recorded is {}",
                                       key_, digester_.value().hex(), recorded.hex())};
  }

 private:
  const std::string key_;
  const std::stop_token stop_;
  const std::unique_ptr<Source> source_;
  AlignedBuffer buffer_{std::size_t{512} << 10};
  Digester digester_;
  std::uint64_t bytes_ = 0;
};

/// What a damaged object gives may look like anything, a wrong key for example.
bool may_come_of_damage(Errc code) noexcept {
  return code == Errc::corrupt || code == Errc::unsupported || code == Errc::config || code == Errc::denied;
}

void unpack(StoredBytes& stored, Unpacking& unpacking, const std::string& key) {
  for (Bytes data = stored.next(); !data.empty(); data = stored.next()) unpacking.write(data);
  if (stored.pulled().stored_bytes == 0) {
    throw Error(Errc::corrupt, fmt::format("object '{}' is empty: what it held is lost", key));
  }
  unpacking.finish();
}

}  // namespace

Pulled pull(const Repository& repository, const storage::ObjectInfo& object, const codec::Codec& codec, Sink& to,
            std::stop_token stop, std::optional<Digest> expected) {
  StoredBytes stored(repository, object, std::move(stop));
  Unpacking unpacking(repository, object, codec, expected.has_value(), to);
  try {
    unpack(stored, unpacking, object.key);
  } catch (const Error& error) {
    if (!expected || !may_come_of_damage(error.code())) throw;
    stored.drain();
    if (stored.pulled().digest != *expected) throw stored.differs_from(*expected);
    throw;
  }
  if (expected && stored.pulled().digest != *expected) throw stored.differs_from(*expected);
  return stored.pulled();
}

std::optional<std::string> try_get(const Repository& repository, std::string_view name, std::stop_token stop,
                                   std::size_t limit) {
  const std::string key = repository.key(name);
  const std::unique_ptr<Source> source = repository.store->try_open(key, {}, stop);
  if (source == nullptr) return std::nullopt;
  std::string text;
  std::array<std::byte, 16384> buffer;
  while (const std::size_t n = source->read(buffer)) {
    if (text.size() + n > limit)
      throw Error(Errc::corrupt, fmt::format("object '{}' is larger than {} bytes", key, limit));
    text.append(text_of(Bytes(buffer).first(n)));
  }
  return text;
}

}  // namespace seawall::pipeline
