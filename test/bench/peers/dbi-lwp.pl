# The same plain loop as plain.mjs, in Perl: DBI and LWP, a prepared statement and a kept connection, one event after
# another.

use strict;
use warnings;
use DBI;
use JSON::PP;
use LWP::UserAgent;
use Time::HiRes qw(time);
use IO::Handle;

my ($dsn, $log, $post, $events) = @ENV{qw(PEER_DBI_DSN PEER_LOG PEER_POST_URL PEER_EVENTS)};
my $dbh = DBI->connect($dsn, 'postgres', '', { RaiseError => 1, AutoCommit => 1, pg_enable_utf8 => 1 });
my $delete = $dbh->prepare('DELETE FROM events WHERE id = ?');
my $agent = LWP::UserAgent->new(keep_alive => 1);
# JSON::XS where it is installed, ten times as fast as what Perl brings itself.
my $json = eval { require JSON::XS; JSON::XS->new->utf8 } || JSON::PP->new->utf8;
open my $file, '>>', $log or die "$log: $!";
$file->autoflush(1);

my $began = time;
my $done = 0;
while ($done < $events) {
    my $rows = $dbh->selectall_arrayref('SELECT * FROM events ORDER BY id LIMIT 1000', { Slice => {} });
    for my $row (@$rows) {
        my $body = $json->encode($row);
        print $file "$body\n";
        my $response = $agent->post($post, 'Content-Type' => 'application/json', Content => $body);
        die $response->status_line unless $response->is_success;
        $delete->execute($row->{id});
        $done += 1;
    }
}
printf "{\"events\": %d, \"seconds\": %.6f}\n", $done, time - $began;
