#include <fmt/format.h>

#include <algorithm>

#include "base/error.hh"
#include "crypto/openpgp/content.hh"
#include "crypto/openpgp/message.hh"
#include "crypto/openpgp/packet.hh"
#include "crypto/openpgp/unseal.hh"
#include "crypto/plain.hh"

namespace seawall::crypto::openpgp {
namespace {

constexpr std::size_t largest_packet = 64 << 10;  // before the encrypted one
constexpr std::size_t most_packets = 1000;
constexpr std::size_t space_bytes = 256 << 10;
constexpr std::size_t head_bytes = 512;

class MessageReader final : public Filter {
 public:
  MessageReader(ReadOptions options, Sink& next) : options_(std::move(options)), content_(next) {}

  MutableBytes space() override {
    if (input_.size() == 0) input_ = AlignedBuffer(space_bytes);
    return input_.span();
  }
  void filled(std::size_t n) override { write(input_.span().first(n)); }

  void write(Bytes data) override {
    const Bytes head = data.first(std::min(data.size(), head_bytes - std::min(head_.size(), head_bytes)));
    head_.append(text_of(head));
    offset_ += data.size();
    named([&] {
      for (auto item = splitter_.next(data); item.what != PacketSplitter::What::more; item = splitter_.next(data)) {
        if (item.what == PacketSplitter::What::begin) begin(splitter_.tag());
        if (item.what == PacketSplitter::What::body) body(item.body);
        if (item.what == PacketSplitter::What::end) end(splitter_.tag());
      }
    });
  }

  void finish() override {
    named([&] {
      if (offset_ == 0) malformed("it is empty");
      if (!splitter_.may_end()) malformed("it was cut");
      if (splitter_.in_packet()) end(splitter_.tag());
      if (!ended_) malformed("it ends before its encrypted part");
    });
  }

 private:
  /// Adds the object's name to what is wrong with it. What `next` throws is not touched.
  template <class Work>
  void named(const Work& work) const {
    try {
      work();
    } catch (const Refused& refused) {
      if (!begun_) refuse_plain(options_.name, options_.setting, bytes_of(head_));
      throw Error(refused.code(),
                  fmt::format("{}: object cannot be decrypted as an OpenPGP message ({}): {} (near byte {})",
                              options_.name, options_.setting, refused.what(), offset_));
    }
  }

  void begin(Tag tag) {
    packet_.clear();
    if (ended_ && tag != Tag::marker && tag != Tag::padding) malformed("something follows the encrypted message");
    switch (tag) {
      case Tag::public_key_session:
      case Tag::password_session:
      case Tag::marker:
      case Tag::padding:
        if (++packets_ > most_packets) malformed("it has too many recipients");
        return;
      case Tag::protected_v1:
      case Tag::aead:
      case Tag::unprotected:
        begun_ = true;
        return;
      case Tag::literal:
      case Tag::compressed:
      case Tag::one_pass_signature:
      case Tag::signature:
        malformed("it is not encrypted (or its beginning is damaged)");
      default:
        malformed(
            fmt::format("it begins with a packet of type {}: it is no encrypted message, or its beginning is "
                        "damaged",
                        static_cast<unsigned>(tag)));
    }
  }

  void body(Bytes data) {
    switch (splitter_.tag()) {
      case Tag::protected_v1:
        return encrypted(data, 1);
      case Tag::aead:
        return encrypted(data, ocb_header_bytes);
      case Tag::unprotected:
        return encrypted(data, 0);
      default:
        if (packet_.size() + data.size() > largest_packet) malformed("a packet before its content is too large");
        packet_.append(text_of(data));
    }
  }

  /// `header_bytes` of the packet stand before what is encrypted.
  void encrypted(Bytes data, std::size_t header_bytes) {
    const std::size_t n = std::min(header_bytes - std::min(header_bytes, packet_.size()), data.size());
    packet_.append(text_of(data.first(n)));
    if (packet_.size() < header_bytes) return;
    if (unsealer_ == nullptr) unsealer_ = make_unsealer(splitter_.tag());
    unsealer_->write(data.subspan(n));
  }

  std::unique_ptr<Unsealer> make_unsealer(Tag tag) {
    if (tag == Tag::protected_v1 && packet_.front() != '\x01') {
      const auto version = static_cast<unsigned char>(packet_.front());
      refuse(version == 2 ? Errc::unsupported : Errc::corrupt,
             fmt::format("its encrypted packet has version {}, which is not supported", version));
    }
    if (tag == Tag::unprotected && !options_.allow_unprotected) {
      refuse(Errc::unsupported,
             "it has no integrity protection (MDC), so a change could not be noticed; "
             "SEAWALL_PGP_ALLOW_UNPROTECTED=true reads it "
             "all the same");
    }
    const SessionKey session = options_.find_session(envelope_);
    if (aes_key_bytes(session.cipher) == 0) {
      refuse(Errc::unsupported, fmt::format("its cipher {} is not supported, only AES", cipher_name(session.cipher)));
    }
    if (tag == Tag::aead) return unseal_ocb(session, bytes_of(packet_), content_);
    return tag == Tag::protected_v1 ? unseal_protected(session, content_) : unseal_unprotected(session, content_);
  }

  void end(Tag tag) {
    if (tag == Tag::public_key_session) envelope_.packets.push_back(packet_);
    if (tag == Tag::password_session) envelope_.has_password = true;
    if (tag != Tag::protected_v1 && tag != Tag::aead && tag != Tag::unprotected) return;
    if (unsealer_ == nullptr) malformed("it was cut");
    unsealer_->finish();
    content_.finish();
    ended_ = true;
  }

  const ReadOptions options_;
  ContentReader content_;
  PacketSplitter splitter_;
  AlignedBuffer input_;  // space()
  std::string head_;
  std::uint64_t offset_ = 0;
  std::string packet_;  // a packet before the encrypted one, or the header of that
  std::size_t packets_ = 0;
  Envelope envelope_;
  bool begun_ = false;  // the encrypted packet
  bool ended_ = false;
  std::unique_ptr<Unsealer> unsealer_;
};

}  // namespace

std::unique_ptr<Filter> read_message(ReadOptions options, Sink& next) {
  return std::make_unique<MessageReader>(std::move(options), next);
}

}  // namespace seawall::crypto::openpgp
