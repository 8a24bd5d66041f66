#include <algorithm>

#include "base/error.hh"
#include "postgres/base_backup.hh"

namespace {

/// Traps when calls come in an order that BaseBackupEvents rules out.
class Order final : public seawall::postgres::BaseBackupEvents {
 public:
  void started(const seawall::postgres::BaseBackupStart& /*start*/) override {}
  void begin_archive(std::string_view /*oid*/) override { enter(1); }
  void data(seawall::Bytes /*data*/) override { expect(1); }
  void end_archive() override { leave(1); }
  void begin_manifest() override { enter(2); }
  void manifest(seawall::Bytes /*data*/) override { expect(2); }
  void end_manifest() override { leave(2); }
  void waiting() override {}

 private:
  void expect(int state) const {
    if (state_ != state) __builtin_trap();
  }
  void enter(int state) {
    expect(0);
    state_ = state;
  }
  void leave(int state) {
    expect(state);
    state_ = 0;
  }
  int state_ = 0;
};

}  // namespace

/// The input is a sequence of messages, each behind a byte that tells its length.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  seawall::Bytes rest(reinterpret_cast<const std::byte*>(data), size);
  Order order;
  seawall::postgres::ArchiveMessages messages(order);
  try {
    while (!rest.empty()) {
      const auto length = std::min<std::size_t>(static_cast<std::size_t>(rest[0]), rest.size() - 1);
      messages.message(rest.subspan(1, length));
      rest = rest.subspan(1 + length);
    }
    messages.end();
  } catch (const seawall::Error&) {
  }
  return 0;
}
