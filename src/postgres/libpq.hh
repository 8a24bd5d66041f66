#pragma once

#include <libpq-fe.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/run.hh"

namespace seawall::postgres {

/// The functions of libpq that this room calls. The program is not linked with the library: most commands never talk
/// to a server, and its dependencies would triple their start-up (docs/adr/0002).
struct Libpq {
  decltype(&::PQcancel) cancel;
  decltype(&::PQclear) clear;
  decltype(&::PQconninfo) conninfo;
  decltype(&::PQconninfoFree) conninfo_free;
  decltype(&::PQconnectPoll) connect_poll;
  decltype(&::PQconnectStartParams) connect_start_params;
  decltype(&::PQconnectionNeedsPassword) connection_needs_password;
  decltype(&::PQconsumeInput) consume_input;
  decltype(&::PQerrorMessage) error_message;
  decltype(&::PQfinish) finish;
  decltype(&::PQfreeCancel) free_cancel;
  decltype(&::PQfreemem) free_memory;
  decltype(&::PQgetCancel) get_cancel;
  decltype(&::PQgetCopyData) get_copy_data;
  decltype(&::PQgetResult) get_result;
  decltype(&::PQgetisnull) get_is_null;
  decltype(&::PQgetlength) get_length;
  decltype(&::PQgetvalue) get_value;
  decltype(&::PQhost) host;
  decltype(&::PQisBusy) is_busy;
  decltype(&::PQntuples) row_count;
  decltype(&::PQport) port;
  decltype(&::PQresultErrorField) result_error_field;
  decltype(&::PQresultErrorMessage) result_error_message;
  decltype(&::PQresultStatus) result_status;
  decltype(&::PQsendQuery) send_query;
  decltype(&::PQsendQueryParams) send_query_params;
  decltype(&::PQserverVersion) server_version;
  decltype(&::PQsetErrorVerbosity) set_error_verbosity;
  decltype(&::PQsetNoticeProcessor) set_notice_processor;
  decltype(&::PQsetSingleRowMode) set_single_row_mode;
  decltype(&::PQsocket) socket;
  decltype(&::PQstatus) status;
  decltype(&::PQuser) user;
};

/// Loads libpq.so.5 unless the process has it already; it stays until the process ends, because the libraries that it
/// brings do not support being unloaded. Errc::not_found naming the package if it is not installed.
Libpq load_libpq();

/// One row of a result; views live until the next row or the end of the result.
class Row {
 public:
  Row(const Libpq& pq, const PGresult* result, int row) : pq_(pq), result_(result), row_(row) {}
  std::optional<std::string_view> value(int column) const;  ///< nothing: NULL
  std::string text(int column) const { return std::string(value(column).value_or(std::string_view{})); }
  bool truth(int column) const { return value(column) == "t"; }
  /// Errc::db if the value is NULL or no integer.
  std::int64_t integer(int column) const;

 private:
  const Libpq& pq_;
  const PGresult* result_;
  int row_;
};

struct Statement {
  std::string_view activity;          ///< what it is for, in messages: "start the backup"
  std::string sql;                    ///< exactly one statement
  std::vector<std::string> values{};  ///< of $1, $2, …
  std::string if_denied{};            ///< what to grant, appended to the message of SQLSTATE 42501
};

/// Which server is meant, beyond libpq's own rules.
struct Target {
  std::string database{};  ///< empty: libpq's choice
  std::string host{};      ///< empty, as is `port`: libpq's choice
  std::string port{};
  bool replication = false;  ///< the replication protocol: command() alone, and no SQL
};

/// A connection whose every wait ends within 100 ms of `run.stop`: what runs on the server is then cancelled, and
/// Errc::cancelled is thrown. One thread at a time. Errors as Session's. No message holds a password.
class Connection {
 public:
  Connection(const Target& target, const Run& run);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int server_version() const noexcept { return version_; }  ///< 150004
  std::string user() const;
  /// As a Target names the server that was reached.
  std::string host() const;
  std::string port() const;
  /// "PostgreSQL at localhost port 5432", for messages.
  std::string peer() const;

  void execute(const Statement& statement);
  /// Calls `visit` for each row as it arrives; holds one row. An exception of `visit` ends the statement.
  void stream(const Statement& statement, const std::function<void(const Row&)>& visit);
  /// `read` gets the only row; Errc::db if there is none or more than one.
  void one_row(const Statement& statement, const std::function<void(const Row&)>& read);

  /// What the answer to a command of the replication protocol consists of, in the order in which it comes.
  class Answer {
   public:
    virtual ~Answer() = default;
    virtual void row(std::size_t set, const Row& row) = 0;  ///< `set`: which of the result sets, from 0 on
    virtual void begin_copy() = 0;
    virtual void copied(Bytes data) = 0;
    virtual void end_copy() = 0;
    virtual void waiting() = 0;  ///< some ten times a second while a copy stands still
  };
  /// An exception of `answer` cancels the command and leaves the connection unusable.
  void command(const Statement& statement, Answer& answer);

 private:
  using Result = std::unique_ptr<PGresult, decltype(&::PQclear)>;

  void open(const Target& target);
  void finish_connecting();
  Error connection_error() const;
  void give_up();
  void receive_copy(const Statement& statement, Answer& answer);
  bool wait(short events);
  Result next_result(const Statement& statement);
  void drain() noexcept;
  void cancel_statement() noexcept;
  Error statement_error(const Statement& statement, const PGresult* result) const;
  Error broken(const Statement& statement) const;

  Libpq pq_;
  Run run_;
  bool replication_ = false;
  std::unique_ptr<PGconn, decltype(&::PQfinish)> connection_;
  std::unique_ptr<PGcancel, decltype(&::PQfreeCancel)> cancel_;
  int version_ = 0;
};

}  // namespace seawall::postgres
