#include "ops/recovery_plan.hh"

#include <sys/stat.h>

#include <cstdlib>
#include <ctime>

#include "base/time_text.hh"
#include "support/wal_fixture.hh"

namespace seawall::ops {
namespace {

using Kind = RecoveryTarget::Kind;

/// The zone of this process for as long as it lives, spelled out so that no zone files are needed.
class Zone {
 public:
  explicit Zone(const char* zone) {
    if (const char* before = std::getenv("TZ")) before_ = before;
    ::setenv("TZ", zone, 1);
    ::tzset();
  }
  ~Zone() {
    if (before_) ::setenv("TZ", before_->c_str(), 1);
    if (!before_) ::unsetenv("TZ");
    ::tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

 private:
  std::optional<std::string> before_;
};

TargetFlags at_time(std::string text) {
  TargetFlags flags;
  flags.time = std::move(text);
  return flags;
}
std::string time_of(const std::string& text) { return rfc3339_nano(parse_target(at_time(text))->time.value()); }
std::string setting_of(const std::string& text) { return parse_target(at_time(text))->text; }
std::string usage_error(const TargetFlags& flags) {
  const Error error = thrown_by([&] { parse_target(flags); });
  EXPECT_EQ(error.code(), Errc::usage) << error.what();
  return error.what();
}

TEST(ParseTarget, NothingAskedForIsNoTarget) { EXPECT_FALSE(parse_target({}).has_value()); }

TEST(ParseTarget, TimesInEverySpelling) {
  for (const char* text :
       {"2026-11-21T03:12:00Z", "2026-11-21 03:12:00Z", "2026-11-21 03:12:00 UTC", "2026-11-21 03:12:00 Z",
        "2026-11-21 03:12:00+00", "2026-11-21 03:12:00+00:00", "2026-11-21 03:12:00-00", "2026-11-21T04:12:00+01:00",
        "2026-11-21 04:12:00+01", "2026-11-21 08:42:00+0530", "2026-11-20 22:12:00-05", "2026-11-21 03:12:00.000+00"}) {
    EXPECT_EQ(time_of(text), "2026-11-21T03:12:00Z") << text;
    EXPECT_EQ(setting_of(text), "2026-11-21 03:12:00.000000+00") << text;
  }
  EXPECT_EQ(time_of("2026-11-21 03:12:00.123456+00"), "2026-11-21T03:12:00.123456Z");
  EXPECT_EQ(setting_of("2026-11-21 03:12:00.123456789+00"), "2026-11-21 03:12:00.123456+00");
  EXPECT_EQ(parse_target(at_time("2026-11-21T03:12:00Z"))->kind, Kind::time);
}

TEST(ParseTarget, WithoutAnOffsetATimeIsLocal) {
  const Zone berlin("CET-1CEST,M3.5.0,M10.5.0/3");
  EXPECT_EQ(time_of("2026-11-21 03:12:00"), "2026-11-21T02:12:00Z");
  EXPECT_EQ(time_of("2026-07-21T03:12:00.25"), "2026-07-21T01:12:00.25Z") << "summer time";
  EXPECT_EQ(setting_of("2026-07-21 03:12:00.250001"), "2026-07-21 01:12:00.250001+00");
  EXPECT_EQ(time_of("2028-02-29 23:59:59"), "2028-02-29T22:59:59Z");
}

TEST(ParseTarget, WhatIsNoTimeIsRefusedAndNotBentIntoAnother) {
  for (const char* text : {"",
                           "yesterday",
                           "2026-11-21",
                           "2026-11-21 03:12",
                           "03:12:00",
                           "2026-02-29 00:00:00",
                           "2026-04-31 00:00:00",
                           "2026-13-01 00:00:00",
                           "2026-00-01 00:00:00",
                           "2026-11-00 00:00:00",
                           "2026-11-21 24:00:00",
                           "2026-11-21 03:60:00",
                           "2026-11-21 03:12:60",
                           "2026-11-21 03:12:00.",
                           "2026-11-21 03:12:00.-5",
                           "2026-11-21 03:12:00.1234567890",
                           "2026-11-21 03:12:00 noon",
                           "2026-11-21 03:12:00+1",
                           "2026-11-21 03:12:00+25",
                           "2026-11-21 -3:12:00",
                           "9999-12-31 00:00:00",
                           "9999-12-31T00:00:00Z",
                           "0001-01-01 00:00:00"}) {
    EXPECT_THAT(usage_error(at_time(text)), AllOf(HasSubstr("--target-time"), HasSubstr(text))) << text;
  }
}

TEST(ParseTarget, Lsn) {
  TargetFlags flags;
  flags.lsn = "1/a0000F8";
  const auto target = parse_target(flags);
  EXPECT_EQ(target->kind, Kind::lsn);
  EXPECT_EQ(target->lsn, archive::Lsn{0x10A0000F8});
  EXPECT_EQ(target->text, "1/A0000F8");
  for (const char* text : {"", "12345", "0/", "/28", "0/XYZ", "0/3000028 ", "0/123456789"}) {
    flags.lsn = text;
    EXPECT_THAT(usage_error(flags), HasSubstr("--target-lsn"));
  }
}

TEST(ParseTarget, Xid) {
  TargetFlags flags;
  flags.xid = "0750";
  EXPECT_EQ(parse_target(flags)->kind, Kind::xid);
  EXPECT_EQ(parse_target(flags)->text, "750") << "the server would read an octal number";
  for (const char* text : {"", "-1", "1e3", "0x2ee", "2", "750 ", "99999999999999999999"}) {
    flags.xid = text;
    EXPECT_THAT(usage_error(flags), HasSubstr("--target-xid"));
  }
}

TEST(ParseTarget, Name) {
  TargetFlags flags;
  flags.name = std::string(63, 'n');
  EXPECT_EQ(parse_target(flags)->kind, Kind::name);
  EXPECT_EQ(parse_target(flags)->text, *flags.name);
  flags.name = std::string(64, 'n');
  EXPECT_THAT(usage_error(flags), HasSubstr("63 bytes"));
  flags.name = "";
  EXPECT_THAT(usage_error(flags), HasSubstr("--target-name"));
}

TEST(ParseTarget, TimelineAndAction) {
  TargetFlags flags;
  flags.immediate = true;
  EXPECT_EQ(parse_target(flags)->kind, Kind::immediate);
  EXPECT_EQ(parse_target(flags)->timeline, "latest");
  EXPECT_EQ(parse_target(flags)->action, "pause");
  for (const auto& [given, kept] : {std::pair{"latest", "latest"}, {"current", "current"}, {"2", "2"}, {"010", "10"}}) {
    flags.timeline = given;
    EXPECT_EQ(parse_target(flags)->timeline, kept);
  }
  for (const char* action : {"pause", "promote", "shutdown"}) {
    flags.action = action;
    EXPECT_EQ(parse_target(flags)->action, action);
  }
  flags.action = "stop";
  EXPECT_THAT(usage_error(flags), HasSubstr("'stop'"));
  flags.action.reset();
  for (const char* timeline : {"", "0", "-1", "newest", "0x2", "4294967296"}) {
    flags.timeline = timeline;
    EXPECT_THAT(usage_error(flags), HasSubstr("--target-timeline"));
  }
}

TEST(ParseTarget, OneTargetOnly) {
  TargetFlags two;
  two.xid = "750";
  two.immediate = true;
  EXPECT_THAT(usage_error(two), HasSubstr("one recovery target"));
  TargetFlags none;
  none.timeline = "2";
  EXPECT_THAT(usage_error(none), HasSubstr("go with a target"));
  none.timeline.reset();
  none.action = "promote";
  EXPECT_THAT(usage_error(none), HasSubstr("go with a target"));
}

class RecoverySettings : public WalTest {
 protected:
  void write(const RecoveryTarget& target, int version, const std::string& command = "seawall wal-fetch %f %p") {
    write_recovery_settings(directory_.path(), {.backup = "base", .pg_version = version, .target = target}, command,
                            run());
  }
  std::string text(const char* file) { return text_of_file(directory_ / file); }
  static RecoveryTarget to(Kind kind, std::string text) {
    RecoveryTarget target;
    target.kind = kind;
    target.text = std::move(text);
    return target;
  }
};

TEST_F(RecoverySettings, From12OnTheyStandInPostgresqlAutoConfBesideASignal) {
  RecoveryTarget target = to(Kind::time, "2026-11-21 03:12:00.000000+00");
  target.action = "promote";
  target.timeline = "3";
  write(target, 120000);
  EXPECT_EQ(text("postgresql.auto.conf"),
            "recovery_target_action = 'promote'\n"
            "recovery_target_time = '2026-11-21 03:12:00.000000+00'\n"
            "recovery_target_timeline = '3'\n"
            "restore_command = 'seawall wal-fetch %f %p'\n");
  EXPECT_EQ(text("recovery.signal"), "");
  EXPECT_EQ(text("recovery.conf"), "<absent>") << "the server would refuse to start";
}

TEST_F(RecoverySettings, Until11TheyStandInRecoveryConf) {
  write(to(Kind::lsn, "0/3000028"), 110022);
  EXPECT_EQ(text("recovery.conf"),
            "recovery_target_action = 'pause'\n"
            "recovery_target_lsn = '0/3000028'\n"
            "recovery_target_timeline = 'latest'\n"
            "restore_command = 'seawall wal-fetch %f %p'\n");
  EXPECT_EQ(text("recovery.signal"), "<absent>");
  EXPECT_EQ(text("postgresql.auto.conf"), "<absent>");
}

TEST_F(RecoverySettings, EachKindOfTargetHasItsSetting) {
  for (const auto& [kind, line] : {std::pair{Kind::time, "recovery_target_time = 'x'\n"},
                                   {Kind::lsn, "recovery_target_lsn = 'x'\n"},
                                   {Kind::xid, "recovery_target_xid = 'x'\n"},
                                   {Kind::name, "recovery_target_name = 'x'\n"},
                                   {Kind::immediate, "recovery_target = 'immediate'\n"}}) {
    write(to(kind, "x"), 150004);
    EXPECT_THAT(text("postgresql.auto.conf"), HasSubstr(line));
  }
  const std::string last = text("postgresql.auto.conf");
  EXPECT_EQ(last.find('x'), std::string::npos) << "the targets before are gone: " << last;
}

TEST_F(RecoverySettings, TheCurrentTimelineHasAWordOnlyFrom12On) {
  RecoveryTarget target = to(Kind::immediate, "");
  target.timeline = "current";
  write(target, 120000);
  EXPECT_THAT(text("postgresql.auto.conf"), HasSubstr("recovery_target_timeline = 'current'\n"));
  write(target, 110000);
  EXPECT_EQ(text("recovery.conf").find("timeline"), std::string::npos);
}

TEST_F(RecoverySettings, LinesOfAnEarlierRecoveryGoAndTheOthersStay) {
  write_file(directory_ / "postgresql.auto.conf",
             "# Do not edit this file manually!\n"
             "work_mem = '64MB'\n"
             "recovery_target_time = '2020-01-01 00:00:00+00'\n"
             "  Recovery_Target_XID='7'\n"
             "recovery_target = 'immediate'\n"
             "restore_command = 'old'\n"
             "\trecovery_target_inclusive = off\n"
             "recovery_min_apply_delay = '5min'\n"
             "# recovery_target_name in a comment\n"
             "archive_command = 'cp %p x'");
  write(to(Kind::name, "before"), 150004);
  EXPECT_EQ(text("postgresql.auto.conf"),
            "# Do not edit this file manually!\n"
            "work_mem = '64MB'\n"
            "recovery_min_apply_delay = '5min'\n"
            "# recovery_target_name in a comment\n"
            "archive_command = 'cp %p x'\n"
            "recovery_target_action = 'pause'\n"
            "recovery_target_name = 'before'\n"
            "recovery_target_timeline = 'latest'\n"
            "restore_command = 'seawall wal-fetch %f %p'\n");
}

TEST_F(RecoverySettings, WhatTheServersReaderTakesForSyntaxIsEscaped) {
  write(to(Kind::name, "it's\na \\n"), 150004, R"('/opt/it'"'"'s/x' --at C:\new "%p")");
  EXPECT_THAT(text("postgresql.auto.conf"),
              AllOf(HasSubstr("recovery_target_name = 'it''s\\na \\\\n'\n"),
                    HasSubstr(R"(restore_command = '''/opt/it''"''"''s/x'' --at C:\\new "%p"')"
                              "\n")));
}

TEST_F(RecoverySettings, OnlyTheOwnerReadsThem) {
  write(to(Kind::xid, "750"), 150004);
  for (const char* file : {"postgresql.auto.conf", "recovery.signal"}) {
    struct stat status {};
    ASSERT_EQ(::stat((directory_ / file).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U) << file;
  }
}

}  // namespace
}  // namespace seawall::ops
